import { Failure } from './failure.ts'

/** Bytes `start` to `end`, both included, counted from 0. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What a user may write: `a-b`, `a-` (to the end) or `-n` (the last n bytes). */
export type RangeRequest = { readonly start: number; readonly end: number | undefined } | { readonly last: number }

const FORMS = /^(?:(\d{1,16})-(\d{1,16})?|-(\d{1,16}))$/

/** Reads `a-b`, `a-` or `-n`, with or without `bytes=` before it. Several ranges are refused. */
export function parseRange(text: string): RangeRequest {
  const match = FORMS.exec(text.trim().replace(/^bytes=/, ''))
  if (match === null) throw invalid(text, 'write it as start-end, start- or -length, for example 0-1023')
  const [, start, end, last] = match
  if (last !== undefined) {
    if (Number(last) === 0) throw invalid(text, 'the last 0 bytes are no bytes')
    return { last: Number(last) }
  }
  if (end !== undefined && Number(end) < Number(start)) throw invalid(text, 'its end lies before its start')
  return { start: Number(start), end: end === undefined ? undefined : Number(end) }
}

/** The bytes asked for in a file of `length` bytes; an end beyond the file is cut, a start beyond it refused. */
export function resolveRange(range: RangeRequest, length: number): ByteRange {
  if ('last' in range) {
    if (length === 0) throw invalid(formatRangeRequest(range), 'the file is empty')
    return { start: Math.max(0, length - range.last), end: length - 1 }
  }
  if (range.start >= length) throw invalid(formatRangeRequest(range), `the file has ${length} bytes`)
  return { start: range.start, end: Math.min(range.end ?? length - 1, length - 1) }
}

export function formatRangeRequest(range: RangeRequest): string {
  return 'last' in range ? `-${range.last}` : `${range.start}-${range.end ?? ''}`
}

/** The value of `X-Dragonfly-Range`: `start-end`, inclusive, no unit. */
export function formatRange(range: ByteRange): string {
  return `${range.start}-${range.end}`
}

/** How many bytes a range covers. */
export function rangeLength(range: ByteRange): number {
  return range.end - range.start + 1
}

function invalid(text: string, why: string): Failure {
  return new Failure('source.range_invalid', `range "${text}" cannot be served: ${why}`)
}
