/** One state of a resource, cut into pieces: what all records and peers of a download have to agree on. */
export interface TaskVersion {
  readonly taskId: string
  /** `versionOf` the origin's validators; empty when it gives none. */
  readonly version: string
  readonly pieceLength: number
}

/**
 * What the host that read the origin says about one piece. Whoever believes the signer can check the piece, wherever
 * the bytes come from.
 */
export interface PieceRecord extends TaskVersion {
  readonly number: number
  readonly offset: number
  readonly length: number
  /** Bytes of the whole content, where the signer knew it: always in the record of the last piece. */
  readonly contentLength: number | undefined
  /** BLAKE3 of each block of BLOCK_LENGTH bytes, 32 bytes each, one behind the other. */
  readonly blocks: Uint8Array
  /** Host id of the signer. */
  readonly signer: string
  /** Ed25519 over `recordBytes`, 64 bytes. */
  readonly signature: Uint8Array
}

/** A host whose signature counts for a task. */
export interface Signer {
  readonly hostId: string
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array
}

const CONTEXT = 'dragonfly-ts piece record 1'

/** The bytes that are signed: every field behind its length, so that no two records share them. */
export function recordBytes(record: Omit<PieceRecord, 'signature'>): Uint8Array {
  const fields = [
    Buffer.from(CONTEXT),
    Buffer.from(record.taskId),
    Buffer.from(record.version),
    Buffer.from(String(record.pieceLength)),
    Buffer.from(String(record.number)),
    Buffer.from(String(record.offset)),
    Buffer.from(String(record.length)),
    Buffer.from(record.contentLength === undefined ? '' : String(record.contentLength)),
    Buffer.from(record.signer),
    record.blocks,
  ]
  return Buffer.concat(
    fields.flatMap((field) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(field.length)
      return [length, field]
    }),
  )
}
