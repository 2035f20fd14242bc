import type { ByteRange } from './range.ts'

const MiB = 2 ** 20
export const MIN_PIECE_LENGTH = 4 * MiB
export const MAX_PIECE_LENGTH = 64 * MiB
const TARGET_PIECES = 500

/** Pieces are digested, checked and written in blocks of this many bytes; the last block of a piece may be shorter. */
export const BLOCK_LENGTH = 512 * 1024

/** A numbered slice of a task. */
export interface PieceSpan {
  readonly number: number
  readonly offset: number
  readonly length: number
}

/** Length of a task's pieces in bytes (wire.md §4.1); the smallest when the content length is not known. */
export function pieceLengthFor(contentLength: number | undefined): number {
  const wanted = nextPowerOfTwo(Math.floor((contentLength ?? 0) / TARGET_PIECES))
  return Math.min(Math.max(wanted, MIN_PIECE_LENGTH), MAX_PIECE_LENGTH)
}

export function pieceCount(contentLength: number, pieceLength: number): number {
  return Math.ceil(contentLength / pieceLength)
}

/** Piece `number` of a task; without a known content length every piece counts as whole. */
export function pieceSpan(number: number, pieceLength: number, contentLength?: number): PieceSpan {
  const offset = number * pieceLength
  const length = contentLength === undefined ? pieceLength : Math.min(pieceLength, contentLength - offset)
  return { number, offset, length }
}

/** Numbers of the first and last piece that hold bytes of `range`. */
export function piecesOf(range: ByteRange, pieceLength: number): { first: number; last: number } {
  return { first: Math.floor(range.start / pieceLength), last: Math.floor(range.end / pieceLength) }
}

/** How many blocks a piece of `length` bytes has. */
export function blockCount(length: number): number {
  return Math.ceil(length / BLOCK_LENGTH)
}

function nextPowerOfTwo(value: number): number {
  return value <= 1 ? 1 : 2 ** Math.ceil(Math.log2(value))
}
