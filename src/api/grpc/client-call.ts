import { setMaxListeners } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { Failure, type FailureCode, messageOf } from '#core'
import { writeMessage } from './frames.ts'
import { Incoming } from './incoming.ts'
import { DEFAULT_MESSAGE_BYTES, type Method } from './method.ts'
import { later } from './later.ts'
import { drained } from './outgoing.ts'
import { failureOf, STATUS, StatusError } from './status.ts'
import { formatTimeout } from './timeout.ts'

export interface CallOptions {
  readonly signal?: AbortSignal
  /** For the whole call; told to the server, too. Unary calls have 10 s, streams no limit when not given. */
  readonly timeoutMs?: number
  /** Until the server begins to answer a stream; 10 s when not given, 0 for no limit. */
  readonly headersTimeoutMs?: number
  readonly metadata?: Readonly<Record<string, string>>
}

/** A conversation. Dispose of it when done: what is still open then is cancelled. */
export interface BidiCall<Req, Res> extends Disposable {
  /** Resolves when more may be sent. Rejects with why the call ended, if it has. */
  send(request: Req): Promise<void>
  /** No more will be sent. */
  end(): void
  /** The answers until the call ends; throws why it failed. For one reader. */
  readonly responses: AsyncIterableIterator<Res, undefined>
}

export interface CallDeps {
  readonly address: string
  readonly unavailable: FailureCode
  session(): Promise<ClientHttp2Session>
}

const HEADERS_TIMEOUT_MS = 10_000
/** A timer of Node cannot wait longer; such a deadline is no deadline. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** One call from its first byte to its status. */
export class ClientCall<Req, Res> implements BidiCall<Req, Res> {
  readonly responses: AsyncIterableIterator<Res, undefined>
  readonly #method: Method<Req, Res>
  readonly #options: CallOptions
  readonly #deps: CallDeps
  readonly #opened: Promise<ClientHttp2Stream>
  readonly #onAbort = (): void => this.#finish(this.#options.signal?.reason as unknown)
  #stream: ClientHttp2Stream | undefined
  #incoming: Incoming<Res> | undefined
  #deadline: NodeJS.Timeout | undefined
  #patience: NodeJS.Timeout | undefined
  #headers: IncomingHttpHeaders | undefined
  #trailers: IncomingHttpHeaders | undefined
  #ending = false
  #over: { error: unknown } | undefined
  #giveUp: (error: unknown) => void = () => undefined
  #tellOver: () => void = () => undefined

  constructor(method: Method<Req, Res>, options: CallOptions, deps: CallDeps) {
    this.#method = method
    this.#options = options
    this.#deps = deps
    this.#limitTime()
    this.#opened = new Promise((resolve, reject) => {
      this.#giveUp = reject
      this.#open().then(resolve, reject)
    })
    this.#opened.catch((error: unknown) => this.#finish(error))
    this.responses = this.#read()
    if (options.signal !== undefined) setMaxListeners(0, options.signal) // many calls may share one
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal?.aborted) this.#onAbort()
  }

  /** Calls `listener` once, when the call is over. */
  onOver(listener: () => void): void {
    if (this.#over === undefined) this.#tellOver = listener
    else listener()
  }

  async send(request: Req): Promise<void> {
    const body = this.#method.request.encode(request).finish()
    const stream = await this.#opened
    if (!stream.writable && !stream.closed && !this.#ending)
      await new Promise<void>((resolve) => void stream.once('close', later(resolve)))
    if (this.#over !== undefined) throw this.#over.error ?? this.#failure('the call has ended')
    if (!stream.writable) throw this.#failure('this side of the call has ended')
    if (!writeMessage(stream, body)) await drained(stream)
  }

  end(): void {
    this.#ending = true
    this.#opened.then(
      (stream) => stream.end(),
      () => undefined,
    )
  }

  /** The answer of a unary call, once the server said that all is well. */
  async single(): Promise<Res> {
    const first = await this.responses.next()
    if (first.done) throw this.#failure('the server sent no answer')
    const rest = await this.responses.next()
    if (!rest.done) throw this.#failure('the server sent more than one answer')
    return first.value
  }

  [Symbol.dispose](): void {
    if (this.#over === undefined) this.#finish(new Failure('download.cancelled', 'the call was given up'))
  }

  async #open(): Promise<ClientHttp2Stream> {
    const session = await this.#deps.session()
    if (this.#over !== undefined) throw this.#over.error
    const { timeoutMs, metadata } = this.#options
    const stream = this.#request(session, {
      ...metadata,
      ':method': 'POST',
      ':path': this.#method.path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(timeoutMs === undefined ? {} : { 'grpc-timeout': formatTimeout(timeoutMs) }),
    })
    this.#stream = stream
    this.#incoming = this.#listen(stream)
    return stream
  }

  #request(session: ClientHttp2Session, headers: OutgoingHttpHeaders): ClientHttp2Stream {
    try {
      return session.request(headers)
    } catch (error) {
      throw this.#failure(messageOf(error), error)
    }
  }

  #listen(stream: ClientHttp2Stream): Incoming<Res> {
    const incoming = new Incoming(stream, (bytes) => this.#decode(bytes), {
      maxBytes: this.#method.maxResponseBytes ?? DEFAULT_MESSAGE_BYTES,
      left: () => this.#finish(undefined),
    })
    let fault: unknown
    stream.once('response', (headers) => {
      this.#headers = headers
      clearTimeout(this.#patience)
    })
    stream.once('trailers', (trailers) => {
      this.#trailers = trailers
    })
    stream.once('error', (error) => {
      fault = error
    })
    const ended = (): void => {
      if (this.#status !== undefined) this.#ended(incoming)
    }
    const closed = (): void => {
      if (this.#status === undefined) this.#finish(this.#cutOff(fault))
      else this.#ended(incoming)
    }
    stream.once('end', later(ended))
    stream.once('close', later(closed))
    return incoming
  }

  get #status(): Readonly<Record<string, unknown>> | undefined {
    return [this.#trailers, this.#headers].find((headers) => headers?.['grpc-status'] !== undefined)
  }

  /** The server told how the call ended. */
  #ended(incoming: Incoming<Res>): void {
    const codes = { unavailable: this.#deps.unavailable, notFound: this.#method.notFound ?? 'task.unknown' } as const
    const failure = failureOf(this.#status ?? {}, this.#deps.address, codes)
    const cut = incoming.cut || this.#stream?.readableEnded === false
    this.#finish(failure ?? (cut ? this.#failure('the answer was cut off') : undefined), 'keep')
  }

  #cutOff(fault: unknown): Failure {
    const status = Number(this.#headers?.[':status'] ?? 200)
    if (status !== 200) return this.#failure(`it is no gRPC server (HTTP ${status})`)
    return this.#failure(fault === undefined ? 'the connection was lost' : messageOf(fault), fault)
  }

  /** The first reason counts. The stream is cancelled unless the server has ended it (`keep`). */
  #finish(error: unknown, stream: 'cancel' | 'keep' = 'cancel'): void {
    if (this.#over !== undefined) return
    this.#over = { error }
    clearTimeout(this.#deadline)
    clearTimeout(this.#patience)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#giveUp(error)
    this.#incoming?.finish(error)
    if (stream === 'cancel') this.#stream?.close(constants.NGHTTP2_CANCEL)
    this.#tellOver()
  }

  #limitTime(): void {
    const { timeoutMs = 0, headersTimeoutMs = HEADERS_TIMEOUT_MS } = this.#options
    this.#deadline = this.#after(timeoutMs)
    if (this.#method.kind !== 'unary') this.#patience = this.#after(headersTimeoutMs)
  }

  #after(limitMs: number): NodeJS.Timeout | undefined {
    if (limitMs <= 0 || limitMs > MAX_TIMER_MS) return undefined
    return setTimeout(() => {
      const cause = new StatusError(STATUS.DEADLINE_EXCEEDED, 'deadline exceeded')
      this.#finish(this.#failure(`no answer within ${limitMs} ms`, cause))
    }, limitMs)
  }

  async *#read(): AsyncGenerator<Res, undefined> {
    try {
      await this.#opened
      if (this.#incoming !== undefined) yield* this.#incoming
      return undefined
    } catch (error) {
      throw error instanceof StatusError ? this.#failure(error.message, error) : error
    } finally {
      this.#finish(undefined)
    }
  }

  #decode(bytes: Uint8Array): Res {
    try {
      const response = this.#method.response.decode(bytes)
      this.#method.checkResponse?.(response)
      return response
    } catch (error) {
      throw this.#failure(`it sent a wrong message: ${messageOf(error)}`, error)
    }
  }

  #failure(why: string, cause?: unknown): Failure {
    return new Failure(this.#deps.unavailable, `${this.#deps.address} did not answer ${this.#method.path}: ${why}`, {
      cause,
    })
  }
}
