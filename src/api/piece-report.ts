import { ownCopy } from './grpc/frames.ts'
import type { Codec } from './grpc/method.ts'
import { AnnouncePeerRequest, type Duration, type Piece, type TrafficType } from './messages.ts'

/**
 * What peers say to a scheduler. Nearly all of it are reports that a piece is here, thousands a second: those are read
 * by hand, in a fifth of the time; whatever is not written as every program writes it is left to the generated code.
 * Both make the same of the same bytes, and keep none of them.
 */
export const announcedPeer: Codec<AnnouncePeerRequest> = {
  encode: (message) => AnnouncePeerRequest.encode(message),
  decode: (bytes) => readPieceReport(bytes) ?? AnnouncePeerRequest.decode(ownCopy(bytes)),
}

type Said = NonNullable<AnnouncePeerRequest['request']>
type UnknownFields = NonNullable<Piece['_unknownFields']>

/** A field's number and how it is written, as it stands before it. */
const TAG = {
  hostId: 10,
  taskId: 18,
  peerId: 26,
  pieceFinished: 98,
  pieceBackToSourceFinished: 106,
} as const
const REPORT_TAG = { piece: 10 } as const
const PIECE_TAG = {
  number: 8,
  parentId: 18,
  offset: 24,
  length: 32,
  digest: 42,
  trafficType: 56,
  cost: 66,
  createdAt: 74,
} as const
const TIME_TAG = { seconds: 8, nanos: 16 } as const

const NO_FIELDS: UnknownFields = Object.freeze({})

/** Undefined for what is no report of a piece, or not plainly one. */
export function readPieceReport(bytes: Uint8Array): AnnouncePeerRequest | undefined {
  const cursor = new Cursor(bytes)
  const ids = { hostId: '', taskId: '', peerId: '' }
  let request: Said | undefined
  while (cursor.at < bytes.length && request === undefined && !cursor.odd) {
    const tag = cursor.number()
    if (tag === TAG.hostId) ids.hostId = cursor.text()
    else if (tag === TAG.taskId) ids.taskId = cursor.text()
    else if (tag === TAG.peerId) ids.peerId = cursor.text()
    else if (tag === TAG.pieceFinished) request = { $case: 'downloadPieceFinishedRequest', value: report(cursor) }
    else if (tag === TAG.pieceBackToSourceFinished)
      request = { $case: 'downloadPieceBackToSourceFinishedRequest', value: report(cursor) }
    else return undefined
  }
  if (cursor.odd || cursor.at !== bytes.length || request === undefined) return undefined
  const { hostId, taskId, peerId } = ids
  return { hostId, taskId, peerId, request, _unknownFields: NO_FIELDS }
}

function report(cursor: Cursor): { piece: Piece; _unknownFields: UnknownFields } {
  const end = cursor.end()
  if (cursor.number() !== REPORT_TAG.piece || cursor.end() !== end) cursor.odd = true
  return { piece: piece(cursor, end), _unknownFields: NO_FIELDS }
}

function piece(cursor: Cursor, end: number): Piece {
  const piece = emptyPiece()
  while (cursor.at < end && !cursor.odd) {
    const tag = cursor.number()
    if (tag === PIECE_TAG.number) piece.number = cursor.small()
    else if (tag === PIECE_TAG.parentId) piece.parentId = cursor.text()
    else if (tag === PIECE_TAG.offset) piece.offset = cursor.number()
    else if (tag === PIECE_TAG.length) piece.length = cursor.number()
    else if (tag === PIECE_TAG.digest) piece.digest = cursor.text()
    else if (tag === PIECE_TAG.trafficType) piece.trafficType = cursor.small() as TrafficType
    else if (tag === PIECE_TAG.cost) piece.cost = time(cursor)
    else if (tag === PIECE_TAG.createdAt) piece.createdAt = time(cursor)
    else cursor.odd = true
  }
  if (cursor.at !== end) cursor.odd = true
  return piece
}

function emptyPiece(): Piece {
  return {
    number: 0,
    parentId: undefined,
    offset: 0,
    length: 0,
    digest: '',
    content: undefined,
    trafficType: undefined,
    cost: undefined,
    createdAt: undefined,
    _unknownFields: NO_FIELDS,
  }
}

/** A length of time and a point in time are written the same way. */
function time(cursor: Cursor): Duration {
  const end = cursor.end()
  const time = { seconds: 0, nanos: 0, _unknownFields: NO_FIELDS }
  while (cursor.at < end && !cursor.odd) {
    const tag = cursor.number()
    if (tag === TIME_TAG.seconds) time.seconds = cursor.number()
    else if (tag === TIME_TAG.nanos) time.nanos = cursor.small()
    else cursor.odd = true
  }
  if (cursor.at !== end) cursor.odd = true
  return time
}

/** Seven bytes of seven bits each: no number of a piece is larger, and none of them loses a digit. */
const MOST_BYTES_OF_NUMBER = 7

class Cursor {
  at = 0
  /** What was read is not as it is commonly written; nothing that was read since counts. */
  odd = false
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  number(): number {
    let value = 0
    let scale = 1
    for (let count = 0; count < MOST_BYTES_OF_NUMBER; count++) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 0x80
    }
    this.odd = true
    return 0
  }

  /** A number that is below 2^31, so that it is the same however many bits the field has. */
  small(): number {
    const value = this.number()
    if (value >= 2 ** 31) this.odd = true
    return value
  }

  /** Where the part ends whose length stands here. */
  end(): number {
    const length = this.number()
    const end = this.at + length
    if (end > this.#bytes.length) this.odd = true
    return end
  }

  text(): string {
    const bytes = this.#bytes
    const to = this.end()
    if (this.odd) return ''
    const from = this.at
    let bits = 0
    for (; this.at < to; this.at++) bits |= bytes[this.at] ?? 0
    if (bits >= 0x80) this.odd = true // not ASCII
    return textOf(bytes, from, to)
  }
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return buffer.toString('latin1', from, to)
}
