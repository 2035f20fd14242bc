import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { Failure } from '#core'
import { writeMessage } from './frames.ts'
import type { Call, Route } from './implement.ts'
import { Incoming } from './incoming.ts'
import { DEFAULT_MESSAGE_BYTES, type Method } from './method.ts'
import { drained } from './outgoing.ts'
import { later } from './later.ts'
import { STATUS, StatusError, type Trailers, trailersOf } from './status.ts'
import { parseTimeout } from './timeout.ts'

export interface Surroundings {
  /** Aborted when the server closes: those of the calls under way. (A signal that all listen to costs all of them each.) */
  readonly hangUps: Set<AbortController>
  onBug(error: unknown, where: { path: string; peer: string }): void
}

const OK: Trailers = { 'grpc-status': '0' }
/** How long a call whose time is up may take to fetch what was sent before. */
const LINGER_MS = 2000
const HEADERS = { ':status': 200, 'content-type': 'application/grpc' }

/** Answers one call from its headers to its trailers. Never throws. */
export function answer(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  route: Route | undefined,
  around: Surroundings,
): void {
  stream.on('error', () => undefined) // what it means shows in 'close'
  const isGrpc = String(headers['content-type']).startsWith('application/grpc')
  if (headers[':method'] !== 'POST' || !isGrpc) {
    stream.respond({ ':status': headers[':method'] === 'POST' ? 415 : 405 }, { endStream: true })
    closeSoon(stream)
    return
  }
  const path = String(headers[':path'])
  if (route === undefined) return refuse(stream, new StatusError(STATUS.UNIMPLEMENTED, `${path} is not served here`))
  const hangUp = new AbortController()
  const peer = peerOf(stream)
  const call: Call = { signal: hangUp.signal, peer, metadata: metadataOf(headers) }
  const limits = new CallLimits(stream, hangUp, route.method, headers, around.hangUps)
  void serve(stream, route, call, limits)
    .then(
      () => OK,
      (error: unknown) => {
        const told = hangUp.signal.aborted ? hangUp.signal.reason : error
        const bug = !(told instanceof Failure || told instanceof StatusError)
        if (bug) around.onBug(told, { path, peer })
        return trailersOf(told)
      },
    )
    .then((trailers) => end(stream, trailers, limits.over ? LINGER_MS : undefined))
    .finally(() => limits[Symbol.dispose]())
}

/** Ends a call that nobody will answer. */
export function refuse(stream: ServerHttp2Stream, error: StatusError): void {
  stream.on('error', () => undefined)
  end(stream, trailersOf(error))
}

async function serve(stream: ServerHttp2Stream, route: Route, call: Call, limits: CallLimits): Promise<void> {
  const { method } = route
  const requests = readRequests(stream, method)
  try {
    if (method.kind === 'unary') {
      const response = await limits.race(route.handle(await only(limits.race(requests.next())), call))
      respond(stream)
      await send(stream, method, response)
      return
    }
    // At once: stock callers wait 10 s for headers, however long the first message takes.
    respond(stream)
    const input = method.kind === 'bidi' ? requests : await only(limits.race(requests.next()))
    await sendAll(stream, method, route.handle(input, call) as AsyncIterable<unknown>, limits)
  } finally {
    void requests.return()
  }
}

async function only(next: Promise<IteratorResult<unknown, undefined>>): Promise<unknown> {
  const { done, value } = await next
  if (done) throw new StatusError(STATUS.INVALID_ARGUMENT, 'the call has no request')
  return value
}

/** Sends what the handler gives, at the caller's pace, and lets go of the handler when the call ends. */
async function sendAll(
  stream: ServerHttp2Stream,
  method: Method<unknown, unknown>,
  responses: AsyncIterable<unknown>,
  limits: CallLimits,
): Promise<void> {
  const iterator = responses[Symbol.asyncIterator]()
  let ended = false
  try {
    while (!ended) ended = !(await sendNext(stream, method, iterator, limits))
  } finally {
    // Not waited for: a generator that is busy returns once its signal has woken it.
    if (!ended) void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

/** False at the end. By itself, because a function that waits for the next response keeps the last one alive. */
async function sendNext(
  stream: ServerHttp2Stream,
  method: Method<unknown, unknown>,
  iterator: AsyncIterator<unknown>,
  limits: CallLimits,
): Promise<boolean> {
  const { done, value } = await limits.race(iterator.next())
  if (!done) await limits.race(send(stream, method, value))
  return !done
}

async function send(stream: ServerHttp2Stream, method: Method<unknown, unknown>, response: unknown): Promise<void> {
  const body = method.response.encode(response).finish()
  if (!stream.writable) return
  if (!writeMessage(stream, body)) await drained(stream)
}

function readRequests(stream: ServerHttp2Stream, method: Method<unknown, unknown>): Incoming<unknown> {
  const requests = new Incoming(stream, (bytes) => decodeRequest(method, bytes), {
    maxBytes: method.maxRequestBytes ?? DEFAULT_MESSAGE_BYTES,
    left: () => undefined,
  })
  const ended = (): void => {
    requests.finish(requests.cut ? new StatusError(STATUS.INVALID_ARGUMENT, 'the last message was cut off') : undefined)
  }
  stream.once('end', later(ended))
  stream.once(
    'close',
    later(() => requests.finish(new Failure('download.cancelled', 'the caller hung up'))),
  )
  return requests
}

function decodeRequest(method: Method<unknown, unknown>, bytes: Uint8Array): unknown {
  let request: unknown
  try {
    request = method.request.decode(bytes)
  } catch (error) {
    throw new StatusError(STATUS.INVALID_ARGUMENT, 'the message is no protobuf of the right kind', { cause: error })
  }
  method.check?.(request)
  return request
}

function respond(stream: ServerHttp2Stream): void {
  if (stream.headersSent || stream.destroyed || stream.closed) return
  stream.respond(HEADERS, { waitForTrailers: true })
}

/** Ends a call with its trailers. After `lingerMs` it is cut, whether the caller took what was sent before or not. */
function end(stream: ServerHttp2Stream, trailers: Trailers, lingerMs?: number): void {
  if (stream.destroyed || stream.closed) return
  if (!stream.headersSent) {
    stream.respond({ ...HEADERS, ...trailers }, { endStream: true })
    closeSoon(stream)
    return
  }
  stream.once('wantTrailers', () => {
    stream.sendTrailers(trailers)
    closeSoon(stream)
  })
  stream.end()
  if (lingerMs === undefined) return
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), lingerMs)
  stream.once('close', () => clearTimeout(timer))
}

/**
 * Resets a call whose caller has not ended its own side: stock peers wait for that (RST_STREAM, NO_ERROR) before they
 * go on. Done at once it would overtake the trailers.
 */
function closeSoon(stream: ServerHttp2Stream): void {
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR))
}

/** What can end a call before its handler does: the caller, its deadline, the server. */
class CallLimits implements Disposable {
  readonly #hangUp: AbortController
  readonly #dispose: () => void
  #interrupt: (reason: unknown) => void = () => undefined

  constructor(
    stream: ServerHttp2Stream,
    hangUp: AbortController,
    method: Method<unknown, unknown>,
    headers: IncomingHttpHeaders,
    hangUps: Set<AbortController>,
  ) {
    this.#hangUp = hangUp
    hangUp.signal.addEventListener('abort', () => this.#interrupt(hangUp.signal.reason))
    const onClose = later(() => hangUp.abort(new Failure('download.cancelled', 'the caller hung up')))
    hangUps.add(hangUp)
    stream.once('close', onClose)
    const timeoutMs = method.ignoreTimeout ? undefined : parseTimeout(headers['grpc-timeout'])
    const onTime = (): void =>
      hangUp.abort(new Failure('download.timeout', `the caller's deadline of ${timeoutMs} ms passed`))
    const timer = timeoutMs === undefined ? undefined : setTimeout(onTime, timeoutMs)
    this.#dispose = () => {
      clearTimeout(timer)
      hangUps.delete(hangUp)
      stream.off('close', onClose)
    }
  }

  get over(): boolean {
    return this.#hangUp.signal.aborted
  }

  /**
   * The same, unless the call ends before: then its reason. One at a time: unlike Promise.race it leaves nothing
   * behind, which a stream of a million messages would feel.
   */
  race<T>(work: T): Promise<Awaited<T>> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject
      Promise.resolve(work).then(resolve, reject)
      if (this.over) reject(this.#hangUp.signal.reason as Error)
    })
  }

  [Symbol.dispose](): void {
    this.#dispose()
  }
}

function peerOf(stream: ServerHttp2Stream): string {
  const socket = stream.session?.socket
  return socket?.remoteAddress === undefined ? 'unix' : `${socket.remoteAddress}:${socket.remotePort}`
}

function metadataOf(headers: IncomingHttpHeaders): Record<string, string> {
  const own = Object.entries(headers).filter(
    ([name, value]) => typeof value === 'string' && !/^(:|grpc-|content-type$|te$)/.test(name),
  )
  return Object.fromEntries(own) as Record<string, string>
}
