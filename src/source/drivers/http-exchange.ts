import { Agent, type ClientRequest, IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as TlsAgent, request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'
import { messageOf } from '#core'
import { redactUrl } from '../redact-url.ts'
import { broken, SourceError } from '../source-error.ts'
import type { HttpAnswer, HttpBody } from './http-answer.ts'
import { harmlessHeaders, serverName } from './http-headers.ts'

export interface HttpQuestion {
  readonly method: 'GET' | 'HEAD'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

export interface ExchangeOptions {
  readonly maxConnections: number
  readonly maxRedirects: number
  /** Authorities to trust besides the well-known ones, PEM; undefined for none. */
  readonly ca: readonly string[] | undefined
  /** `host` or `host:port` whose certificate is not checked. */
  readonly insecure: readonly string[]
}

/** Asks, follows redirects, and resolves to the head of what comes in the end. */
export type Exchange = (question: HttpQuestion) => Promise<HttpAnswer>

/** How one question is asked; the exchange around it follows redirects. */
export type Send = (question: HttpQuestion) => Promise<HttpAnswer>

const REDIRECTS = new Set([301, 302, 303, 307, 308])
const IDLE_CONNECTION_MS = 15_000
/** Heads of answers that are larger are refused. */
export const LARGEST_HEAD_BYTES = 64 * 1024

/** Follows redirects by hand: what another origin may know is decided here, not in a library. */
export function followingRedirects(send: Send, maxRedirects: number): Exchange {
  return async (question) => {
    let { url, headers } = question
    for (let hops = 0; ; hops++) {
      const answer = await send({ ...question, url, headers })
      const { location } = answer.headers
      if (!REDIRECTS.has(answer.status) || location === undefined) return answer
      answer.body.destroy()
      const next: URL = redirectTarget(url, location)
      if (hops === maxRedirects) {
        const message = `more than ${maxRedirects} redirects, the last one to ${redactUrl(next.href)}`
        throw new SourceError('source.broken', message, { lasting: true })
      }
      if (next.origin !== url.origin) headers = harmlessHeaders(headers)
      url = next
    }
  }
}

function redirectTarget(from: URL, location: string): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined
  if (target === undefined) throw broken('the origin redirects to what is no URL')
  if (target.protocol !== 'http:' && target.protocol !== 'https:') {
    throw new SourceError('source.not_supported', `the origin redirects to a ${target.protocol} URL, which is refused`)
  }
  if (from.protocol === 'https:' && target.protocol === 'http:') {
    const where = redactUrl(target.href)
    throw new SourceError('source.not_supported', `the origin redirects from https to ${where}, which is refused`)
  }
  return target
}

/** Asks by node's own client, over connections that are kept. */
export function sender(options: ExchangeOptions): Send {
  const common = { keepAlive: true, maxSockets: options.maxConnections, maxFreeSockets: 8, timeout: IDLE_CONNECTION_MS }
  const plain = new Agent(common)
  const tls = new TlsAgent({ ...common, ...(options.ca === undefined ? {} : { ca: [...options.ca] }) })
  return (question) => {
    const { url, method, headers, signal } = question
    const target = { method, headers, maxHeaderSize: LARGEST_HEAD_BYTES }
    return new Promise((resolve, reject) => {
      const bare = new URL(url)
      bare.username = ''
      bare.password = ''
      const request =
        url.protocol === 'https:'
          ? httpsRequest(bare, {
              ...target,
              agent: tls,
              servername: serverName(url),
              rejectUnauthorized: !options.insecure.includes(url.hostname) && !options.insecure.includes(url.host),
            })
          : httpRequest(bare, { ...target, agent: plain })
      stopOnAbort(request, signal)
      request.once('response', (message) => resolve(answerOf(url, message)))
      request.on('error', (error) => reject(connectionError(error)))
      request.end()
    })
  }
}

/**
 * Ends a request and its body when the signal aborts. (The option `signal` of node's request also destroys a connection
 * that was given back and may serve another request already.)
 */
function stopOnAbort(request: ClientRequest, signal: AbortSignal): void {
  let stop = (): unknown => request.destroy(new Error('aborted'))
  const onAbort = (): unknown => stop()
  request.once('response', (message) => {
    stop = () => message.destroy(new Error('aborted'))
    message.once('close', () => signal.removeEventListener('abort', onAbort))
  })
  request.once('close', () => {
    if (request.destroyed) signal.removeEventListener('abort', onAbort)
  })
  if (signal.aborted) stop()
  else signal.addEventListener('abort', onAbort, { once: true })
}

/** A parsed head and its body as an answer. */
export function answerOf(url: URL, message: IncomingMessage): HttpAnswer {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return { url, status: message.statusCode ?? 0, headers, body: new StreamBody(message) }
}

/** A stream as a body: its errors told as a source tells them, its end owned. */
export class StreamBody implements HttpBody {
  readonly stream: Readable

  constructor(stream: Readable) {
    this.stream = stream
    stream.on('error', () => undefined) // one that is not read any more may still break; who reads is told by the iterator
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.stream) yield chunk as Uint8Array
    } catch (error) {
      throw bodyError(error)
    }
  }

  /** A message that came whole is read to its end, so that its connection can be used again. */
  destroy(): void {
    if (this.stream instanceof IncomingMessage && this.stream.complete) this.stream.resume()
    else this.stream.destroy()
  }
}

/** Why no answer came. */
export function connectionError(error: unknown): SourceError {
  const code = codeOf(error)
  if (code.startsWith('HPE_')) {
    return new SourceError('source.broken', `the origin does not speak HTTP: ${messageOf(error)}`, { cause: error })
  }
  const hint = isCertificateError(code) ? ' (name its authority with sources.tls.ca)' : ''
  return new SourceError('source.unreachable', `${messageOf(error)}${hint}`, { cause: error })
}

/** Why a body broke off. */
export function bodyError(error: unknown): SourceError {
  const reason = codeOf(error).startsWith('Z_') ? 'its compression is damaged' : 'the connection broke off'
  return new SourceError('source.broken', `${reason} in the middle: ${messageOf(error)}`, { cause: error })
}

function isCertificateError(code: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|ALTNAME/.test(code)
}

function codeOf(error: unknown): string {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' ? code : ''
}
