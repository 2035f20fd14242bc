import type { Headers } from '../contract.ts'

/** The head of a plain answer: a body of `length` bytes follows, as it is. */
export interface PlainHead {
  readonly status: 200 | 206
  readonly headers: Headers
  readonly length: number
}

const MOST_FIELDS = 100
const STATUS_LINE = /^HTTP\/1\.[01] (200|206)(?: [\t\x20-\x7e\x80-\xff]*)?$/
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/

/** Fields of which a second one would be a question that a plain answer does not raise. */
const ONCE = new Set([
  'accept-ranges',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'location',
  'retry-after',
])

/**
 * Reads the head of the simplest and most frequent of all answers: 200 or 206, Content-Length, no codings. Undefined
 * for every other one, be it unusual or wrong: those are for a whole HTTP parser. `head` ends with its last line.
 */
export function parsePlainHead(head: string): PlainHead | undefined {
  const [statusLine = '', ...lines] = head.split('\r\n')
  const status = STATUS_LINE.exec(statusLine)?.[1]
  if (status === undefined || lines.length > MOST_FIELDS) return undefined
  const headers = new Map<string, string>()
  for (const line of lines) {
    const [, spelled, value] = FIELD.exec(line) ?? []
    if (spelled === undefined || value === undefined) return undefined
    const name = spelled.toLowerCase()
    const before = headers.get(name)
    if (before !== undefined && ONCE.has(name)) return undefined
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  if (headers.has('transfer-encoding') || headers.has('content-encoding') || headers.has('upgrade')) return undefined
  const said = headers.get('content-length') ?? ''
  const length = /^\d{1,16}$/.test(said) ? Number(said) : Number.NaN
  if (!Number.isSafeInteger(length)) return undefined
  return { status: status === '200' ? 200 : 206, headers: Object.fromEntries(headers), length }
}
