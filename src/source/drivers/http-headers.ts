import { isIP } from 'node:net'
import { Failure } from '#core'
import type { ExpireInfo, Headers } from '../contract.ts'
import { formatHttpDate, parseHttpDate } from '../http-date.ts'
import { broken } from '../source-error.ts'
import { cleanExpireInfo } from '../validators.ts'

/** Headers that belong to the connection or to the range, and would make another answer of what the host expects. */
const RESERVED: Readonly<Record<string, string>> = {
  range: 'ask for a range with --range',
  'if-range': 'the host sets it itself',
  'if-match': 'the host compares versions itself',
  'if-none-match': 'the host compares versions itself',
  'if-modified-since': 'the host compares versions itself',
  'if-unmodified-since': 'the host compares versions itself',
  connection: 'it belongs to the connection',
  'content-length': 'a download has no body',
  expect: 'a download has no body',
  'keep-alive': 'it belongs to the connection',
  'proxy-connection': 'it belongs to the connection',
  te: 'it belongs to the connection',
  trailer: 'it belongs to the connection',
  'transfer-encoding': 'a download has no body',
  upgrade: 'it belongs to the connection',
}

/** What another origin may see of a user's headers; everything else could be a secret. */
const HARMLESS = /^(accept|accept-[a-z-]+|user-agent|cache-control|pragma)$/

/** What is sent for a user's headers: names in lower case, checked, credentials of the URL among them. */
export function requestHeaders(url: URL, headers: Headers): Record<string, string> {
  const sent: Record<string, string> = { 'user-agent': 'dragonfly-ts', accept: '*/*', 'accept-encoding': 'identity' }
  for (const [spelled, value] of Object.entries(headers)) {
    const name = spelled.toLowerCase()
    if (name.startsWith('x-dragonfly-')) continue
    const reason = Object.hasOwn(RESERVED, name) ? RESERVED[name] : undefined
    if (reason !== undefined) throw new Failure('usage.invalid', `header ${name} cannot be set: ${reason}`)
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) {
      throw new Failure('usage.invalid', `${JSON.stringify(spelled)} cannot be the name of a header`)
    }
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new Failure('usage.invalid', `the value of header ${name} has characters that no header can carry`)
    }
    sent[name] = value
  }
  if ((url.username !== '' || url.password !== '') && sent['authorization'] === undefined) {
    sent['authorization'] = basicAuth(url)
  }
  return sent
}

/** The headers that go along to another origin. */
export function harmlessHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => HARMLESS.test(name) || isConditional(name)))
}

/** Set by the host itself, on every request of one download. */
function isConditional(name: string): boolean {
  return name === 'range' || name === 'if-range'
}

/** `If-Range` takes a strong ETag or a date, nothing else. */
export function ifRange({ etag, lastModified }: ExpireInfo): string | undefined {
  if (etag && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag)) return etag
  if (etag || !lastModified || parseHttpDate(lastModified) === undefined) return undefined
  return lastModified
}

export function validatorsOf(headers: Headers): ExpireInfo {
  const { etag = '', 'last-modified': said = '' } = headers
  const ms = parseHttpDate(said)
  return cleanExpireInfo({ etag, lastModified: ms === undefined ? said : formatHttpDate(ms) })
}

/** The length announced; undefined where there is none. */
export function contentLength(headers: Headers): number | undefined {
  const { 'content-length': said, 'transfer-encoding': coding } = headers
  if (said === undefined || coding !== undefined) return undefined
  const length = /^\d{1,16}$/.test(said) ? Number(said) : Number.NaN
  if (!Number.isSafeInteger(length)) throw broken(`Content-Length "${said.slice(0, 40)}" is not a length`)
  return length
}

const LONGEST_RETRY_AFTER_S = 86_400

/** Milliseconds to wait by `Retry-After`, given in seconds or as a date. */
export function retryAfter(headers: Headers, now: number): number | undefined {
  const said = headers['retry-after']
  if (said === undefined) return undefined
  if (/^\d{1,9}$/.test(said)) return Math.min(Number(said), LONGEST_RETRY_AFTER_S) * 1000
  const at = parseHttpDate(said)
  return at === undefined ? undefined : Math.min(Math.max(at - now, 0), LONGEST_RETRY_AFTER_S * 1000)
}

/** The name to show and check in TLS: that of the URL, whatever a Host header says. Empty for an IP address. */
export function serverName(url: URL): string {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return isIP(host) === 0 ? host : ''
}

function basicAuth({ username, password }: URL): string {
  const plain = [username, password].map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return part
    }
  })
  return `Basic ${Buffer.from(plain.join(':')).toString('base64')}`
}
