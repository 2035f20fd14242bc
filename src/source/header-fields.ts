import type { Headers } from './contract.ts'

const MOST_FIELDS = 64
const LONGEST_VALUE = 4096

/** Of one hop or one client only: never handed on. Lengths and ranges are told in other ways. */
const NOT_HANDED_ON = new Set([
  'connection',
  'content-length',
  'content-range',
  'date',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'server',
  'set-cookie',
  'set-cookie2',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'www-authenticate',
])

/** A source's response headers: lower-case names, texts only, bounded. */
export function cleanHeaders(headers: unknown): Headers {
  if (typeof headers !== 'object' || headers === null) return {}
  const pairs: unknown[] = headers instanceof Map || isHeaders(headers) ? [...headers] : Object.entries(headers)
  const kept: [string, string][] = []
  for (const pair of pairs) {
    if (kept.length === MOST_FIELDS || !Array.isArray(pair)) break
    const [name, value] = pair as unknown[]
    if (typeof name === 'string' && typeof value === 'string' && value.length <= LONGEST_VALUE) {
      kept.push([name.toLowerCase(), value])
    }
  }
  return Object.fromEntries(kept)
}

/** Those of them that are worth handing on to who asked. */
export function handedOn(headers: Headers): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_HANDED_ON.has(name)))
}

function isHeaders(headers: object): headers is Iterable<unknown> {
  return typeof (headers as { get?: unknown }).get === 'function' && Symbol.iterator in headers
}
