import { crc32 } from '@node-rs/crc32'
import type { Signer } from '#core'
import type { HeldPiece, PieceSignature, TaskMeta, Validators } from './contract.ts'

/** Written into the first line; a journal of another format is not read. */
export const JOURNAL_FORMAT = 1

/** What a content file looked like when an output began to share it. */
export interface ContentFacts {
  readonly size: number
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint
}

/** One line of a journal: something that became true of a task. docs/storage-format.md tells each kind. */
export type Entry =
  | { readonly kind: 'task'; readonly boot: string; readonly meta: TaskMeta }
  | { readonly kind: 'piece'; readonly piece: HeldPiece; readonly contentLength: number | undefined }
  | { readonly kind: 'length'; readonly contentLength: number }
  | { readonly kind: 'signers'; readonly signers: readonly Signer[] }
  | { readonly kind: 'validators'; readonly validators: Validators }
  | { readonly kind: 'dropped'; readonly numbers: readonly number[] }
  | { readonly kind: 'shared'; readonly facts: ContentFacts }
  | { readonly kind: 'unshared' }
  | { readonly kind: 'checked'; readonly boot: string }

type Json = Record<string, unknown>

/** `<CRC-32 of the JSON, 8 hex digits> <JSON>\n` */
export function encodeLine(entry: Entry): string {
  const json = JSON.stringify(toJson(entry))
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`
}

/** The entry of a line without its line feed; undefined when it is damaged or makes no sense. */
export function decodeLine(line: Uint8Array): Entry | undefined {
  const text = Buffer.from(line.buffer, line.byteOffset, line.length)
  if (text.length < 10 || text[8] !== 0x20) return undefined
  const json = text.subarray(9)
  if (text.toString('latin1', 0, 8) !== crc32(json).toString(16).padStart(8, '0')) return undefined
  try {
    return fromJson(record(JSON.parse(json.toString('utf8'))))
  } catch {
    return undefined
  }
}

function toJson(entry: Entry): Json {
  switch (entry.kind) {
    case 'task':
      return { kind: 'task', format: JOURNAL_FORMAT, boot: entry.boot, ...entry.meta }
    case 'piece':
      return pieceToJson(entry.piece, entry.contentLength)
    case 'signers': {
      const signers = entry.signers.map(({ hostId, publicKey }) => ({ hostId, publicKey: base64(publicKey) }))
      return { kind: 'signers', signers }
    }
    case 'validators':
      return { kind: 'validators', ...entry.validators }
    case 'shared':
      return { kind: 'shared', size: entry.facts.size, mtimeNs: String(entry.facts.mtimeNs) }
    default:
      return entry
  }
}

function fromJson(json: Json): Entry {
  switch (json['kind']) {
    case 'task':
      if (json['format'] !== JOURNAL_FORMAT) throw new Error('another format')
      return { kind: 'task', boot: text(json['boot']), meta: metaFromJson(json) }
    case 'piece':
      return { kind: 'piece', piece: pieceFromJson(json), contentLength: optional(json['contentLength'], count) }
    case 'length':
      return { kind: 'length', contentLength: count(json['contentLength']) }
    case 'signers':
      return { kind: 'signers', signers: array(json['signers']).map(signerFromJson) }
    case 'validators':
      return { kind: 'validators', validators: { etag: text(json['etag']), lastModified: text(json['lastModified']) } }
    case 'dropped':
      return { kind: 'dropped', numbers: array(json['numbers']).map(count) }
    case 'shared':
      return { kind: 'shared', facts: { size: count(json['size']), mtimeNs: BigInt(text(json['mtimeNs'])) } }
    case 'unshared':
      return { kind: 'unshared' }
    case 'checked':
      return { kind: 'checked', boot: text(json['boot']) }
    default:
      throw new Error('no such kind')
  }
}

function metaFromJson(json: Json): TaskMeta {
  return {
    taskId: text(json['taskId']),
    url: text(json['url']),
    tag: text(json['tag']),
    application: text(json['application']),
    filteredQueryParams: array(json['filteredQueryParams']).map(text),
    pieceLength: count(json['pieceLength']),
    version: text(json['version']),
    etag: text(json['etag']),
    lastModified: text(json['lastModified']),
    contentLength: optional(json['contentLength'], count),
    headers: Object.fromEntries(Object.entries(record(json['headers'])).map(([name, value]) => [name, text(value)])),
  }
}

function pieceToJson(piece: HeldPiece, contentLength: number | undefined): Json {
  const { number, offset, length, crc32, parentId, traffic, costMs, createdAt } = piece
  const blocks = base64(piece.blocks)
  const signature = piece.signature && { ...piece.signature, signature: base64(piece.signature.signature) }
  const facts = {
    number,
    offset,
    length,
    crc32,
    blocks,
    signature,
    parentId,
    traffic,
    costMs,
    createdAt,
    contentLength,
  }
  return { kind: 'piece', ...facts }
}

function pieceFromJson(json: Json): HeldPiece {
  const traffic = json['traffic']
  if (traffic !== 'source' && traffic !== 'peer') throw new Error('no such traffic')
  return {
    number: count(json['number']),
    offset: count(json['offset']),
    length: count(json['length']),
    crc32: count(json['crc32']),
    blocks: bytes(json['blocks']),
    signature: optional(json['signature'], signatureFromJson),
    parentId: text(json['parentId']),
    traffic,
    costMs: count(json['costMs']),
    createdAt: count(json['createdAt']),
  }
}

function signatureFromJson(value: unknown): PieceSignature {
  const json = record(value)
  return {
    signer: text(json['signer']),
    signature: bytes(json['signature']),
    contentLength: optional(json['contentLength'], count),
  }
}

function signerFromJson(value: unknown): Signer {
  const json = record(value)
  return { hostId: text(json['hostId']), publicKey: bytes(json['publicKey']) }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

function bytes(value: unknown): Uint8Array {
  return Uint8Array.from(Buffer.from(text(value), 'base64'))
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error('not a text')
  return value
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error('not a count')
  return value
}

function array(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('not a list')
  return value
}

function record(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('not an object')
  return value as Json
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value)
}
