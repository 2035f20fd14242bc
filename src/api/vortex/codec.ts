import { blockCount, Failure, formatPieceDigest, MAX_PIECE_LENGTH, parsePieceDigest } from '#core'

/**
 * Vortex, the framing of piece bytes between hosts (docs/protocol.md). A packet is a header of 6 bytes (a random id
 * that nobody looks at, a tag, the length of the value) and a value. All numbers are big-endian.
 */
export const TAG = {
  downloadPiece: 0,
  pieceContent: 1,
  /** Ours, from the numbers that stock programs leave free: several on one connection, answered in order. */
  downloadBlocks: 200,
  blocksContent: 201,
  close: 254,
  error: 255,
} as const
export const ERROR_CODE = { unknown: 0, invalidArgument: 1, notFound: 2, internal: 3 } as const

export const HEADER_LENGTH = 6
const TASK_ID_LENGTH = 64
export const REQUEST_LENGTH = TASK_ID_LENGTH + 4
export const BLOCKS_REQUEST_LENGTH = TASK_ID_LENGTH + 12
/** Metadata without its two texts. */
const FIXED_METADATA_LENGTH = 45
/** Digest and parent id are short; a longer metadata is a trick. */
export const MAX_METADATA_LENGTH = 4096
export const MAX_ERROR_BYTES = 1024
/** Requests for blocks that wait for their answer on one connection; a child that asks for more is hung up on. */
export const MAX_REQUESTS = 64
const MAX_BLOCKS = blockCount(MAX_PIECE_LENGTH)
/** 30,000 years. */
const MAX_SECONDS = 1e12

export interface Header {
  readonly tag: number
  readonly length: number
}

/** What a parent tells of a piece before its bytes. */
export interface PieceHead {
  readonly number: number
  /** Bytes from the start of the content. */
  readonly offset: number
  readonly length: number
  /** As sent: `crc32:` and decimal digits, or empty. */
  readonly digest: string
  /** What `digest` says, when it says a CRC-32. */
  readonly crc32: number | undefined
  /** Peer the parent had it from; empty for the source. */
  readonly parentId: string
  readonly trafficType: number
  /** Whole seconds on the wire. */
  readonly costMs: number
  /** Milliseconds since 1970; whole seconds on the wire. */
  readonly createdAt: number
}

function packet(tag: number, valueLength: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(HEADER_LENGTH + bytes)
  buffer.writeUInt8(Math.trunc(Math.random() * 256), 0)
  buffer.writeUInt8(tag, 1)
  buffer.writeUInt32BE(valueLength, 2)
  return buffer
}

/** Reads the first 6 bytes of a packet. */
export function decodeHeader(bytes: Uint8Array): Header {
  if (bytes.length < HEADER_LENGTH) throw corrupt(`a packet of ${bytes.length} bytes is too short`)
  const view = viewOf(bytes)
  return { tag: view.getUint8(1), length: view.getUint32(2) }
}

/** A whole request packet. Only ids of 64 ASCII characters can be asked for. */
export function encodeRequest(taskId: string, number: number): Uint8Array {
  const buffer = packet(TAG.downloadPiece, REQUEST_LENGTH, REQUEST_LENGTH)
  buffer.writeUInt32BE(number, writeTaskId(buffer, taskId))
  return buffer
}

/** Reads the value of a request. */
export function decodeRequest(value: Uint8Array): { taskId: string; number: number } {
  if (value.length !== REQUEST_LENGTH) throw corrupt(`a request has ${REQUEST_LENGTH} bytes, not ${value.length}`)
  return { taskId: readTaskId(value), number: viewOf(value).getUint32(TASK_ID_LENGTH) }
}

/** `count` blocks of a piece, from block `first` on. */
export interface BlockSpan {
  readonly taskId: string
  /** Of the piece. */
  readonly number: number
  readonly first: number
  readonly count: number
}

/** A whole packet that asks for blocks. */
export function encodeBlocksRequest({ taskId, number, first, count }: BlockSpan): Uint8Array {
  const buffer = packet(TAG.downloadBlocks, BLOCKS_REQUEST_LENGTH, BLOCKS_REQUEST_LENGTH)
  let at = writeTaskId(buffer, taskId)
  at = buffer.writeUInt32BE(number, at)
  at = buffer.writeUInt32BE(first, at)
  buffer.writeUInt32BE(count, at)
  return buffer
}

/** Reads the value of a request for blocks: at least one, and none that no piece can have. */
export function decodeBlocksRequest(value: Uint8Array): BlockSpan {
  if (value.length !== BLOCKS_REQUEST_LENGTH)
    throw corrupt(`a request for blocks has ${BLOCKS_REQUEST_LENGTH} bytes, not ${value.length}`)
  const view = viewOf(value)
  const number = view.getUint32(TASK_ID_LENGTH)
  const first = view.getUint32(TASK_ID_LENGTH + 4)
  const count = view.getUint32(TASK_ID_LENGTH + 8)
  if (count === 0 || first + count > MAX_BLOCKS) throw corrupt(`no piece has the blocks ${first} + ${count}`)
  return { taskId: readTaskId(value), number, first, count }
}

/** The header before the bytes of blocks: there is nothing else, whoever asked knows the rest. */
export function encodeBlocksHeader(length: number): Uint8Array {
  return packet(TAG.blocksContent, length, 0)
}

function writeTaskId(buffer: Buffer, taskId: string): number {
  if (!/^[\x21-\x7e]{64}$/.test(taskId))
    throw new Failure('usage.invalid', `"${taskId}" is no task id of 64 characters`)
  return HEADER_LENGTH + buffer.write(taskId, HEADER_LENGTH, 'latin1')
}

function readTaskId(value: Uint8Array): string {
  const taskId = Buffer.from(value.subarray(0, TASK_ID_LENGTH)).toString('latin1')
  if (!/^[\x21-\x7e]+$/.test(taskId)) throw corrupt('the task id is not ASCII')
  return taskId
}

/** Everything before the bytes of a piece: header (whose length leaves them out), metadata length, metadata. */
export function encodeContentPrefix(head: Omit<PieceHead, 'crc32'>): Uint8Array {
  const digest = Buffer.from(head.digest)
  const parentId = Buffer.from(head.parentId)
  const metadataLength = FIXED_METADATA_LENGTH + digest.length + parentId.length
  const buffer = packet(TAG.pieceContent, 4 + metadataLength, 4 + metadataLength)
  let at = buffer.writeUInt32BE(metadataLength, HEADER_LENGTH)
  at = buffer.writeUInt32BE(head.number, at)
  at = buffer.writeBigUInt64BE(BigInt(head.offset), at)
  at = buffer.writeBigUInt64BE(BigInt(head.length), at)
  at = buffer.writeUInt32BE(digest.length, at)
  at += digest.copy(buffer, at)
  at = buffer.writeUInt32BE(parentId.length, at)
  at += parentId.copy(buffer, at)
  at = buffer.writeUInt8(head.trafficType, at)
  at = buffer.writeBigUInt64BE(BigInt(Math.round(head.costMs / 1000)), at)
  buffer.writeBigInt64BE(BigInt(Math.floor(head.createdAt / 1000)), at)
  return buffer
}

/**
 * The length of the metadata, from the header and the 4 bytes behind it. The header may count the content or not. Its
 * claim is held against `decodeMetadata`'s length by `checkContentLength`.
 */
export function decodeMetadataLength(header: Header, bytes: Uint8Array): number {
  const length = viewOf(bytes).getUint32(0)
  const fits = length >= FIXED_METADATA_LENGTH && length <= MAX_METADATA_LENGTH && header.length >= 4 + length
  if (!fits) throw corrupt(`a metadata of ${length} bytes in a value of ${header.length} cannot be`)
  return length
}

/** Reads the metadata of a piece. */
export function decodeMetadata(bytes: Uint8Array): PieceHead {
  const reader = new Reader(bytes)
  const number = reader.uint32()
  const offset = reader.uint64('the offset')
  const length = reader.uint64('the length')
  if (length > MAX_PIECE_LENGTH) throw corrupt(`a piece of ${length} bytes is over ${MAX_PIECE_LENGTH}`)
  const digest = reader.text()
  const parentId = reader.text()
  const trafficType = reader.uint8()
  const costMs = Math.min(reader.uint64('the cost'), MAX_SECONDS) * 1000
  const createdAt = reader.seconds() * 1000
  if (reader.left > 0) throw corrupt(`${reader.left} bytes too many in the metadata`)
  return { number, offset, length, digest, crc32: parsePieceDigest(digest), parentId, trafficType, costMs, createdAt }
}

/** A header counts 4 + metadata, or 4 + metadata + content. */
export function checkContentLength(header: Header, metadataLength: number, head: PieceHead): void {
  const counted = header.length - 4 - metadataLength
  if (counted !== 0 && counted !== head.length)
    throw corrupt(`the packet counts ${counted} bytes of content, its metadata ${head.length}`)
}

export function encodeError(code: number, message: string): Uint8Array {
  const text = Buffer.from(message).subarray(0, MAX_ERROR_BYTES - 1)
  const buffer = packet(TAG.error, 1 + text.length, 1 + text.length)
  buffer.writeUInt8(code, HEADER_LENGTH)
  text.copy(buffer, HEADER_LENGTH + 1)
  return buffer
}

/** Reads the value of an error, or as much of it as came. */
export function decodeError(value: Uint8Array): { code: number; message: string } {
  const message = Buffer.from(value.subarray(1, MAX_ERROR_BYTES))
    .toString()
    .replaceAll(/\p{Cc}/gu, ' ')
  return { code: value[0] ?? ERROR_CODE.unknown, message }
}

/** The digest of a piece as the wire has it. */
export function digestOf(crc32: number): string {
  return formatPieceDigest(crc32)
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  uint64(name: string): number {
    const value = this.#view.getBigUint64(this.#take(8))
    if (value > BigInt(Number.MAX_SAFE_INTEGER - MAX_PIECE_LENGTH)) throw corrupt(`${name} is ${value}`)
    return Number(value)
  }

  /** A time that cannot be is 0: nothing depends on it. */
  seconds(): number {
    const value = Number(this.#view.getBigInt64(this.#take(8)))
    return Math.abs(value) <= MAX_SECONDS ? value : 0
  }

  text(): string {
    const length = this.uint32()
    const from = this.#take(length)
    return Buffer.from(this.#bytes.subarray(from, from + length)).toString()
  }

  #take(length: number): number {
    const from = this.#at
    if (length > this.left) throw corrupt('the metadata is cut off')
    this.#at += length
    return from
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function corrupt(why: string): Failure {
  return new Failure('piece.corrupt', `not a Vortex answer: ${why}`)
}
