import type { BlockSet, ByteSink, PieceRecord, Signer } from '#core'

/** What is known of a task when its storage is opened. */
export interface TaskMeta {
  readonly taskId: string
  readonly url: string
  readonly tag: string
  readonly application: string
  readonly filteredQueryParams: readonly string[]
  readonly pieceLength: number
  /** See `versionOf`; a task of another version is another content. */
  readonly version: string
  readonly etag: string
  readonly lastModified: string
  /** Bytes; undefined until the origin was read to its end. */
  readonly contentLength: number | undefined
  /** Response headers of the origin, lower-case names. */
  readonly headers: Readonly<Record<string, string>>
}

/** A signature over `recordBytes` of a piece, and what it was made with. */
export interface PieceSignature {
  readonly signer: string
  readonly signature: Uint8Array
  /** The content length the signer put into the record, if any. */
  readonly contentLength: number | undefined
}

/** ETag and date as the origin gives them; empty where it gives none. */
export interface Validators {
  readonly etag: string
  readonly lastModified: string
}

/** A piece that is on disk and was checked. Never changes, never goes but with its task. */
export interface HeldPiece {
  readonly number: number
  readonly offset: number
  readonly length: number
  /** CRC-32/ISO-HDLC, for peers that know nothing better. */
  readonly crc32: number
  /** BLAKE3 per block, as in PieceRecord. */
  readonly blocks: Uint8Array
  /** Who signed it, when the piece has a record. */
  readonly signature: PieceSignature | undefined
  /** Peer id of the parent it came from; empty for the source. */
  readonly parentId: string
  /** Bytes by peer id, empty for the source, where several brought it; told once, to `onPiece`. */
  readonly brought?: ReadonlyMap<string, number> | undefined
  readonly traffic: 'source' | 'peer'
  readonly costMs: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
}

/** What the bytes of a piece have to match. Without any the bytes are digested, not checked (the source, a stock peer). */
export interface Expectation {
  readonly blocks?: Uint8Array
  readonly crc32?: number
}

export type UnsignedPiece = Pick<HeldPiece, 'number' | 'offset' | 'length' | 'crc32' | 'blocks'> & {
  readonly contentLength: number | undefined
}

/**
 * Writes a run of pieces, in order: a sink for their bytes. While the content length is unknown, a whole piece is held
 * only when a byte behind it came or the end was told, so that the last piece is known to be the last.
 */
export interface PieceWriter extends ByteSink, AsyncDisposable {
  /**
   * All bytes are written and every whole piece of the run is held. With `eof` the content ends here: this settles an
   * unknown content length, and fails with `source.broken` where a known one says otherwise. Without it, bytes of a
   * piece that is not whole are thrown away, and so is what the source sent last while the length is unknown: it may be
   * the end. A failed write or check rejects.
   */
  end(options?: { eof?: boolean }): Promise<void>
}

export interface WriteOptions {
  /** Number of the first piece of the run. */
  readonly first: number
  /** Number behind the last piece of the run; without it, to the end of the content. */
  readonly end?: number
  readonly from: { readonly traffic: 'source' } | { readonly traffic: 'peer'; readonly parentId: string }
  /** What a piece has to match; asked once per piece, before its first block is checked. */
  expect?(number: number): Expectation
  /** Makes the record's signature as soon as a piece from the source is whole, or hands on the one a parent sent. */
  sign?(piece: UnsignedPiece): PieceSignature | undefined
}

/**
 * Writes some blocks of one piece, in order: a sink for their bytes. Each block is checked against the record as soon as
 * it is whole, and readable as soon as it is written, whatever becomes of the others.
 */
export interface BlockWriter extends ByteSink, AsyncDisposable {
  /**
   * Resolves when every block asked for is written and readable, or the piece is held: also when somebody else brought
   * it. Rejects with `piece.corrupt` when a block is not what the record says, `piece.missing` when not all of the bytes
   * came, `storage.*` when it cannot be kept. Blocks that were right stay in any case.
   */
  end(): Promise<void>
}

export interface BlockWriteOptions {
  /** What the blocks have to match; the caller believes its signer. */
  readonly record: PieceRecord
  /** Index, within the piece, of the first block. */
  readonly first: number
  readonly count: number
  /** Peer id of the parent they come from. */
  readonly parentId: string
}

/** One task on this host's disk. */
export interface StoredTask {
  readonly meta: TaskMeta
  /** Bytes; undefined until known. */
  readonly contentLength: number | undefined
  /** Learns the length from who may say it (the origin, the scheduler). Fails when it contradicts what is known. */
  setContentLength(length: number): Promise<void>
  /** Number of pieces; undefined until the length is known. */
  readonly pieceCount: number | undefined
  /** The length is known and every piece is held. A task of 0 bytes is complete at once. */
  readonly complete: boolean
  piece(number: number): HeldPiece | undefined
  /** Held pieces by number, ascending. */
  pieces(): HeldPiece[]
  /** Bytes held. */
  readonly heldBytes: number
  /** Called for each piece that becomes held from now on, after it is on the journal. Returns the way to stop. */
  onPiece(listener: (piece: HeldPiece) => void): () => void
  /**
   * The blocks of a piece that can be read as of now: they are on disk and were checked. All of them when the piece is
   * held; undefined: none. Blocks of a piece that is not held are known to this process alone: they stay until the piece
   * is held, the task or the store goes, or another content turns up (see docs/storage-format.md).
   */
  blocks(number: number): BlockSet | undefined
  /**
   * Called with the number of a piece, not held yet, of which a block became readable; of the last block `onPiece`
   * tells. From within the write of that block: the listener is to be quick. Returns the way to stop.
   */
  onBlocks(listener: (number: number) => void): () => void
  write(options: WriteOptions): PieceWriter
  /**
   * Writes blocks of one piece that a parent sends; with its last block, whoever brings it, the piece is held, with the
   * record's signature. Throws `piece.corrupt` when the record is not one of this task's pieces (or of another length
   * than its content has), or contradicts the one by which somebody writes the same piece right now; RangeError when the
   * piece has no such blocks.
   */
  writeBlocks(options: BlockWriteOptions): BlockWriter
  /**
   * Reads bytes of held pieces and of readable blocks at `offset` into `target`, from its start; resolves to the number
   * of bytes read: less than asked for before a hole and at the end. Fails with `piece.missing` when there is none.
   */
  read(offset: number, target: Uint8Array): Promise<number>
  /** The record of a held piece that was signed, or the one by which the blocks were checked that are here of a piece. */
  record(number: number): PieceRecord | undefined
  /**
   * Makes the output file, by reflink, hard link or copy, whichever is safe: under a temporary name in the same
   * directory, then renamed. With `start` and `end` (both included), only these bytes; with `atOffset`, at their own
   * offset into the file that is there (made if it is not), everything else of it left alone. Fails with
   * `output.invalid` or `storage.full`, and with `piece.missing` when not all of it is held.
   */
  export(
    path: string,
    options?: { start?: number; end?: number; atOffset?: boolean },
  ): Promise<{ bytes: number; by: 'reflink' | 'link' | 'copy' }>
  /** While held, the task is not evicted and its files stay open. */
  hold(): Disposable
  /** Who may sign for this version, remembered so that a restarted host can check its own pieces. */
  signers: readonly Signer[]
  /** What tells this content from another one at its origin: as opened with, or as learnt when it was read. */
  validators: Validators
}

/** Everything this host keeps. Opening it takes a lock on its directory; a second process gets `storage.in_use`. */
export interface TaskStore extends AsyncDisposable {
  /**
   * The task of this id and version, as it stands on disk, or a new empty one. A stored task of another version (or
   * piece length) is set aside: running readers finish on it, then it goes.
   */
  open(meta: TaskMeta): Promise<StoredTask>
  /** The newest version of the task that is here. Pieces in doubt (the machine was restarted) are told as they are checked. */
  get(taskId: string): StoredTask | undefined
  list(): StoredTask[]
  /** Removes a task and its bytes once nobody reads it any more; a finished output that was linked stays. */
  delete(taskId: string): Promise<void>
  /** Checks a task against its digests where its content file was changed from outside; damaged pieces are dropped. */
  verify(taskId: string): Promise<{ dropped: number }>
  /**
   * Removes idle tasks, the longest unused first, until both limits are met, and tells which. Tasks in use are never
   * touched. With `idleMs` 0 no task is too old.
   */
  evict(limits: { capacityBytes: number; idleMs: number; now: number }): Promise<string[]>
  readonly heldBytes: number
}
