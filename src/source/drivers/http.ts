import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { type ByteRange, Failure, messageOf, rangeLength } from '#core'
import type { InTreeRequest } from '../client-source.ts'
import { type ContentRange, parseContentRange } from '../content-range.ts'
import type { Headers, ResourceClient, ResourceInfo, SourceRequest, SourceResponse } from '../contract.ts'
import { UNKNOWN_SOURCE_FILE_LEN } from '../contract.ts'
import { parseHttpDate } from '../http-date.ts'
import { newResponse } from '../response.ts'
import type { SourceSettings } from '../settings.ts'
import { broken, changed, notSupported, unexpectedStatus } from '../source-error.ts'
import { areStrong, sameVersion } from '../validators.ts'
import type { HttpAnswer } from './http-answer.ts'
import { codingOf, decoded } from './http-encoding.ts'
import { directSender } from './http-direct.ts'
import { type Exchange, followingRedirects, sender, StreamBody } from './http-exchange.ts'
import { contentLength, ifRange, requestHeaders, retryAfter, validatorsOf } from './http-headers.ts'

export type HttpSettings = Pick<SourceSettings, 'http' | 'tls'>

/** How servers refuse HEAD that would answer GET. A signed URL is signed for one of the two. */
const HEAD_REFUSED = new Set([400, 403, 405, 501])

/** Reads http: and https: URLs. */
export function httpClient({ http, tls }: HttpSettings): ResourceClient & Required<Pick<ResourceClient, 'stat'>> {
  const { maxConnections, maxRedirects } = http
  const parsing = sender({ maxConnections, maxRedirects, ca: authorities(tls.ca), insecure: tls.insecure })
  const ask = followingRedirects(http.direct ? directSender(parsing, maxConnections) : parsing, maxRedirects)
  return {
    stat: (request) => stat(request, ask),
    getContentLength: async (request) => (await stat(request, ask)).contentLength,
    isSupportRange: async (request) => (await probe(request, ask)).supportsRange === true,
    isExpired: async (request, info) => sameVersion(info, (await stat(request, ask)).expireInfo) === false,
    getLastModified: async (request) => parseHttpDate((await stat(request, ask)).expireInfo.lastModified ?? '') ?? 0,
    download: (request) => download(request, ask),
  }
}

/** Everything from one HEAD; where that is refused or tells no length, from a GET of the first byte. */
async function stat(request: SourceRequest, ask: Exchange): Promise<ResourceInfo> {
  const answer = await ask({ method: 'HEAD', ...target(request) })
  answer.body.destroy()
  const ok = answer.status === 200 && contentLength(answer.headers) !== undefined
  if (ok) return infoOf(answer, contentLength(answer.headers), acceptsRanges(answer.headers))
  if (answer.status === 200 || HEAD_REFUSED.has(answer.status)) return probe(request, ask)
  throw statusError(answer)
}

/** Asks for the first byte: whether ranges are supported shows in the answer, and nowhere else for sure. */
async function probe(request: SourceRequest, ask: Exchange): Promise<ResourceInfo> {
  const { headers, ...rest } = target(request)
  const answer = await ask({ method: 'GET', ...rest, headers: { ...headers, range: 'bytes=0-0' } })
  answer.body.destroy()
  const { status } = answer
  const told = contentRangeOf(answer.headers)
  if (status === 206) {
    if (told?.range?.start !== 0 || told.range.end !== 0) throw wrongContentRange(answer.headers, { start: 0, end: 0 })
    return infoOf(answer, told.total, true)
  }
  if (status === 200) return infoOf(answer, contentLength(answer.headers), false)
  if (status === 416 && told?.total === 0) return infoOf(answer, 0, undefined)
  if (status === 416) return plainGet(request, ask)
  throw statusError(answer)
}

/** For origins that refuse both HEAD and ranges: a GET that is hung up on. */
async function plainGet(request: SourceRequest, ask: Exchange): Promise<ResourceInfo> {
  const answer = await ask({ method: 'GET', ...target(request) })
  answer.body.destroy()
  if (answer.status !== 200) throw statusError(answer)
  return infoOf(answer, contentLength(answer.headers), false)
}

function infoOf(answer: HttpAnswer, length: number | undefined, supportsRange: boolean | undefined): ResourceInfo {
  const { url, headers } = answer
  const plain = codingOf(url, headers) === undefined
  return {
    contentLength: plain ? (length ?? UNKNOWN_SOURCE_FILE_LEN) : UNKNOWN_SOURCE_FILE_LEN,
    supportsRange: plain ? supportsRange : false,
    expireInfo: validatorsOf(headers),
    headers,
  }
}

async function download(request: InTreeRequest, ask: Exchange): Promise<SourceResponse> {
  const { headers, ...rest } = target(request)
  const { range, ifMatch = {}, atFirst } = request
  const wanted = range ?? (atFirst === undefined ? undefined : { start: 0, end: atFirst - 1 })
  const condition = range === undefined ? undefined : ifRange(ifMatch)
  const answer = await ask({
    method: 'GET',
    ...rest,
    headers: {
      ...headers,
      ...(wanted === undefined ? {} : { range: `bytes=${wanted.start}-${wanted.end}` }),
      ...(condition === undefined ? {} : { 'if-range': condition }),
    },
  })
  try {
    if (answer.status !== 200 && answer.status !== 206) throw statusError(answer)
    if (range !== undefined) return part(answer, range, request)
    return wanted !== undefined && answer.status === 206 ? front(answer, wanted) : whole(answer)
  } catch (error) {
    answer.body.destroy()
    throw error
  }
}

function whole(answer: HttpAnswer): SourceResponse {
  const { url, status, headers, body } = answer
  const expireInfo = validatorsOf(headers)
  const coding = codingOf(url, headers)
  if (coding !== undefined && body instanceof StreamBody) {
    const { 'accept-ranges': _, ...others } = headers
    return newResponse(new StreamBody(decoded(body.stream, coding)), { status, headers: others, expireInfo })
  }
  return newResponse(body, { status, headers, contentLength: contentLength(headers) ?? -1, expireInfo })
}

/** The first bytes of a content whose rest can be joined to them; all of it where there are no more. */
function front(answer: HttpAnswer, wanted: ByteRange): SourceResponse {
  const { url, status, headers, body } = answer
  const { range, total } = contentRangeOf(headers) ?? {}
  if (range?.start !== 0 || total === undefined || range.end !== Math.min(wanted.end, total - 1)) {
    throw wrongContentRange(headers, wanted)
  }
  const expireInfo = validatorsOf(headers)
  if (codingOf(url, headers) !== undefined || (range.end < total - 1 && !areStrong(expireInfo))) {
    throw notSupported('the parts that the origin sends cannot be joined for sure')
  }
  return newResponse(body, { status, headers, contentLength: contentLength(headers) ?? -1, expireInfo })
}

/** The answer to a range: exactly these bytes of this version, or a failure that says which of the two is wrong. */
function part(answer: HttpAnswer, range: ByteRange, request: InTreeRequest): SourceResponse {
  const { url, status, headers, body } = answer
  const expireInfo = validatorsOf(headers)
  const length = contentLength(headers)
  const everything = status === 200 && range.start === 0 && length === rangeLength(range)
  if (sameVersion(request.ifMatch ?? {}, expireInfo) === false) throw changed(request.url)
  if (codingOf(url, headers) !== undefined)
    throw notSupported('the origin compresses what it sends; ranges are of no use')
  if (status === 200 && !everything) throw notSupported('the origin ignores ranges')
  if (status === 206) {
    const told = contentRangeOf(headers)
    if (told?.range?.start !== range.start || told.range.end !== range.end) throw wrongContentRange(headers, range)
  }
  return newResponse(body, { status, headers, contentLength: length ?? -1, expireInfo })
}

function target(request: SourceRequest): { url: URL; headers: Record<string, string>; signal: AbortSignal } {
  const url = new URL(request.url)
  return { url, headers: requestHeaders(url, request.headers), signal: request.signal }
}

function acceptsRanges(headers: Headers): boolean | undefined {
  const said = headers['accept-ranges']?.toLowerCase()
  if (said === 'bytes') return true
  return said === 'none' ? false : undefined
}

function contentRangeOf(headers: Headers): ContentRange | undefined {
  return parseContentRange(headers['content-range'] ?? '')
}

function wrongContentRange(headers: Headers, { start, end }: ByteRange): Error {
  const said = headers['content-range']
  const told = said === undefined ? 'without Content-Range' : `with Content-Range "${said.slice(0, 80)}"`
  return broken(`the range ${start}-${end} was answered by 206 ${told}`)
}

function statusError(answer: HttpAnswer): Error {
  const { status, headers } = answer
  return unexpectedStatus(status, [200, 206], { retryAfterMs: retryAfter(headers, Date.now()) })
}

/** The well-known authorities and those of a file; undefined without a file. */
function authorities(path: string): string[] | undefined {
  if (path === '') return undefined
  try {
    return [...rootCertificates, readFileSync(path, 'utf8')]
  } catch (error) {
    throw new Failure('config.invalid', `sources.tls.ca: ${messageOf(error)}`, { cause: error })
  }
}
