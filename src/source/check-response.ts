import { types } from 'node:util'
import { type ByteRange, type Digest, type Failure, parseDigest, rangeLength } from '#core'
import { parseContentRange } from './content-range.ts'
import { type ExpireInfo, type SourceResponse, X_DRAGONFLY_ETAG, X_DRAGONFLY_LAST_MODIFIED } from './contract.ts'
import { cleanHeaders, handedOn } from './header-fields.ts'
import { SourceError, unexpectedStatus } from './source-error.ts'
import { brokenAnswer, type FailureContext } from './source-failure.ts'
import type { Answer } from './source.ts'
import { cleanExpireInfo } from './validators.ts'

/** An answer to `download` that keeps the contract, as far as can be seen before its body is read. */
export interface CheckedResponse {
  readonly body: AsyncIterable<unknown> | Uint8Array
  /** Bytes that the body must have; undefined when nothing was said about it. */
  readonly bytes: number | undefined
  readonly answer: Answer
}

/** Which bytes were asked for; all of them where neither is said. */
export interface AskedFor {
  readonly range?: ByteRange | undefined
  /** See ReadOptions; only our own clients are asked for it. */
  readonly atFirst?: number | undefined
}

/**
 * Checks what a client says about its body. Bytes of another place than those asked for must be found out here: once
 * they are given, pieces may have been made of them.
 */
export function checkResponse(
  response: SourceResponse,
  { range: wanted, atFirst }: AskedFor,
  context: FailureContext,
): CheckedResponse {
  if (typeof response !== 'object' || response === null) throw brokenAnswer('download gave no response', context)
  const status = response.status ?? 200
  if (status !== 200 && status !== 206) throw wrongStatus(status, context)
  const body = checkBody(response.body, context)
  const headers = cleanHeaders(response.headers)
  const bytes = checkLength(response.contentLength, body, context)
  const front = atFirst === undefined || status !== 206 ? undefined : rangeSent(headers, context)
  const range = wanted ?? front
  const total =
    range === undefined
      ? checkWhole(status, bytes, context)
      : checkPart(response.status, bytes, headers['content-range'], range, context)
  const supportsRange = range !== undefined || headers['accept-ranges']?.toLowerCase() === 'bytes' ? true : undefined
  const digest = checkedDigest(response.digest, context)
  const expireInfo = expireInfoOf(response.expireInfo, headers)
  return {
    body,
    bytes: range === undefined ? bytes : rangeLength(range),
    answer: {
      expireInfo,
      totalLength: total,
      supportsRange,
      ...partOf(front, total),
      headers: handedOn(headers),
      ...digest,
    },
  }
}

/** The part that came of a read that left it to the origin. */
function rangeSent(headers: Readonly<Record<string, string>>, context: FailureContext): ByteRange {
  const range = parseContentRange(headers['content-range'] ?? '')?.range
  if (range === undefined) throw brokenAnswer('it answered 206 and does not say with which bytes', context)
  return range
}

/** As a field to spread; none where the part is all there is. */
function partOf(range: ByteRange | undefined, total: number | undefined): { readonly part?: ByteRange } {
  return range === undefined || rangeLength(range) === total ? {} : { part: range }
}

/** What a client says that the whole must match, as a field to spread; `source.broken` for what is no digest. */
export function checkedDigest(said: unknown, context: FailureContext): { readonly digest?: Digest } {
  if (said === undefined || said === null) return {}
  const digest = typeof said === 'string' ? readDigest(said) : undefined
  if (digest !== undefined) return { digest }
  const what = typeof said === 'string' ? `"${said.slice(0, 160)}"` : kindOf(said)
  throw brokenAnswer(`its digest is ${what}, expected md5, sha1, sha256 or sha512 and the hex, as in "md5:…"`, context)
}

/** A CRC-32 proves nothing against who wants to deceive, and is none that origins publish. */
function readDigest(text: string): Digest | undefined {
  try {
    const digest = parseDigest(text)
    return digest.algorithm === 'crc32' ? undefined : digest
  } catch {
    return undefined
  }
}

function checkWhole(status: number, bytes: number | undefined, context: FailureContext): number | undefined {
  if (status === 206) throw brokenAnswer('it answered 206 though no range was asked for', context)
  return bytes
}

/** The answer to a range; returns the length of the whole, where it is told. */
function checkPart(
  status: number | undefined,
  bytes: number | undefined,
  contentRange: string | undefined,
  range: ByteRange,
  context: FailureContext,
): number | undefined {
  const wanted = rangeLength(range)
  if (status !== 206 && bytes !== wanted) {
    throw new SourceError(
      'source.not_supported',
      bytes === undefined
        ? 'a range was answered with neither status 206 nor a contentLength; nobody can tell whose bytes these are'
        : `a range of ${wanted} bytes was answered with ${bytes} bytes and status ${status ?? 200}`,
    )
  }
  if (bytes !== undefined && bytes !== wanted) {
    throw brokenAnswer(`a range of ${wanted} bytes was answered with ${bytes} bytes`, context)
  }
  if (contentRange === undefined) return undefined
  const told = parseContentRange(contentRange)
  if (told?.range?.start !== range.start || told.range.end !== range.end) {
    const asked = `${range.start}-${range.end}`
    throw brokenAnswer(`range ${asked} was answered with Content-Range "${contentRange.slice(0, 80)}"`, context)
  }
  return told.total
}

function checkBody(body: unknown, context: FailureContext): AsyncIterable<unknown> | Uint8Array {
  if (body === undefined || body === null) throw brokenAnswer('the response has no body', context)
  if (types.isUint8Array(body)) return body
  if (typeof body === 'object' && Symbol.asyncIterator in body) return body as AsyncIterable<unknown>
  throw brokenAnswer(`the body is ${kindOf(body)}, expected a Uint8Array or a stream of them`, context)
}

function checkLength(
  said: unknown,
  body: AsyncIterable<unknown> | Uint8Array,
  context: FailureContext,
): number | undefined {
  const known = types.isUint8Array(body) ? body.length : undefined
  if (said === undefined || said === null || said === -1 || said === -2) return known
  if (typeof said !== 'number' || !Number.isSafeInteger(said) || said < 0) {
    throw brokenAnswer(`contentLength is ${shown(said)}, expected a number of bytes or -1`, context)
  }
  if (known !== undefined && known !== said) {
    throw brokenAnswer(`contentLength is ${said} but the body has ${known} bytes`, context)
  }
  return said
}

function wrongStatus(status: unknown, context: FailureContext): SourceError | Failure {
  if (typeof status === 'number' && Number.isInteger(status)) return unexpectedStatus(status)
  return brokenAnswer(`the status is ${kindOf(status)}, expected 200 or 206`, context)
}

/** From the field made for it, else from the two headers that Dragonfly's own clients write. */
function expireInfoOf(info: ExpireInfo | undefined, headers: Readonly<Record<string, string>>): ExpireInfo {
  const { etag, lastModified } = cleanExpireInfo(info)
  return cleanExpireInfo({
    etag: etag ?? headers[X_DRAGONFLY_ETAG.toLowerCase()] ?? '',
    lastModified: lastModified ?? headers[X_DRAGONFLY_LAST_MODIFIED.toLowerCase()] ?? '',
  })
}

/** A value as a message shows it: numbers as they are, everything else by its kind. */
export function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : kindOf(value)
}

export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? `an object (${value.constructor?.name ?? 'no class'})` : `a ${typeof value}`
}
