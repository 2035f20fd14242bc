import http2 from 'node:http2'
import net from 'node:net'
import { Failure, type FailureCode, messageOf } from '#core'
import { type BidiCall, type CallOptions, ClientCall } from './client-call.ts'
import type { Method } from './method.ts'

export interface ChannelOptions {
  /** The Failure of a server that cannot be reached or does not answer as it should; `peer.unreachable` if not given. */
  readonly unavailable?: FailureCode
  /** 3 s when not given. */
  readonly connectTimeoutMs?: number
}

/**
 * One server, over one connection that is made when first needed and again after it was lost. An idle channel neither
 * keeps the process alive nor, for more than five minutes, the connection. All failures are Failures: the server's own
 * when it is one of ours, `unavailable` otherwise; an abort throws the signal's reason.
 */
export interface Channel extends AsyncDisposable {
  readonly address: string
  /** Connections made so far: another number than before tells that the server may be another process by now. */
  readonly connections: number
  /** Has a deadline: `timeoutMs`, 10 s when not given. */
  unary<Req, Res>(method: Method<Req, Res, 'unary'>, request: Req, options?: CallOptions): Promise<Res>
  /** Nothing is sent before the first answer is asked for. Stopping early cancels the call. */
  serverStream<Req, Res>(
    method: Method<Req, Res, 'serverStream'>,
    request: Req,
    options?: CallOptions,
  ): AsyncIterableIterator<Res, undefined>
  bidi<Req, Res>(method: Method<Req, Res, 'bidi'>, options?: CallOptions): BidiCall<Req, Res>
}

const UNARY_TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 3000
const IDLE_MS = 5 * 60_000
const KEEP_ALIVE_MS = 30_000
const STREAM_WINDOW = 2 ** 20
const CONNECTION_WINDOW = 16 * 2 ** 20

/** `target` is `host:port` or `unix:/path`. Does not connect yet. Fails with `usage.invalid` for another form. */
export function openChannel(target: string, options: ChannelOptions = {}): Channel {
  return new Http2Channel(target, parseTarget(target), options)
}

class Http2Channel implements Channel {
  readonly address: string
  readonly #to: net.NetConnectOpts
  readonly #unavailable: FailureCode
  readonly #connectTimeoutMs: number
  #session: Promise<http2.ClientHttp2Session> | undefined
  #current: http2.ClientHttp2Session | undefined
  /** Runs while there is a connection. */
  #idle: NodeJS.Timeout | undefined
  #calls = 0
  #connections = 0
  #closed = false

  constructor(address: string, to: net.NetConnectOpts, options: ChannelOptions) {
    this.address = address
    this.#to = to
    this.#unavailable = options.unavailable ?? 'peer.unreachable'
    this.#connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
  }

  get connections(): number {
    return this.#connections
  }

  async unary<Req, Res>(method: Method<Req, Res, 'unary'>, request: Req, options: CallOptions = {}): Promise<Res> {
    using call = this.#call(method, { timeoutMs: UNARY_TIMEOUT_MS, ...options })
    await call.send(request)
    call.end()
    return await call.single()
  }

  async *serverStream<Req, Res>(
    method: Method<Req, Res, 'serverStream'>,
    request: Req,
    options: CallOptions = {},
  ): AsyncGenerator<Res, undefined> {
    using call = this.#call(method, options)
    await call.send(request)
    call.end()
    yield* call.responses
    return undefined
  }

  bidi<Req, Res>(method: Method<Req, Res, 'bidi'>, options: CallOptions = {}): BidiCall<Req, Res> {
    return this.#call(method, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const session = await this.#session?.catch(() => undefined)
    await new Promise(setImmediate) // see later.ts: never from inside of nghttp2
    if (session === undefined || session.destroyed) return
    const closed = new Promise((resolve) => void session.once('close', resolve))
    session.destroy()
    await closed
  }

  #call<Req, Res>(method: Method<Req, Res>, options: CallOptions): ClientCall<Req, Res> {
    const call = new ClientCall(method, options, {
      address: this.address,
      unavailable: this.#unavailable,
      session: () => this.#connected(),
    })
    this.#count(1)
    call.onOver(() => this.#count(-1))
    return call
  }

  /** Only a connection with calls on it keeps the process alive. */
  #count(by: 1 | -1): void {
    this.#calls += by
    this.#idle?.refresh()
    if (this.#calls === 0) this.#current?.unref()
    else if (this.#calls === 1 && by === 1) this.#current?.ref()
  }

  #connected(): Promise<http2.ClientHttp2Session> {
    if (this.#closed) return Promise.reject(this.#failure('this side has closed the channel'))
    if (this.#current?.closed || this.#current?.destroyed) this.#session = undefined
    this.#session ??= this.#connect()
    return this.#session
  }

  async #connect(): Promise<http2.ClientHttp2Session> {
    this.#current = undefined
    try {
      const session = openSession(await this.#dial())
      const forget = (): void => {
        if (this.#current !== session) return
        this.#current = undefined
        this.#session = undefined
      }
      this.#current = session
      this.#connections++
      if (this.#calls === 0) session.unref()
      session.on('error', forget)
      session.once('close', forget)
      session.once('goaway', forget)
      this.#closeIdle(session)
      return session
    } catch (error) {
      this.#session = undefined
      throw error
    }
  }

  /** Not by `session.setTimeout`: Node keeps a session that ended otherwise until such a timer is over. */
  #closeIdle(session: http2.ClientHttp2Session): void {
    const idle = setTimeout(() => {
      if (this.#calls === 0) session.close()
    }, IDLE_MS).unref()
    this.#idle = idle
    session.once('close', () => {
      if (this.#idle === idle) this.#idle = undefined
      clearTimeout(idle)
    })
  }

  #dial(): Promise<net.Socket> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(this.#to)
      const fail = (why: string, cause?: unknown): void => {
        socket.destroy()
        reject(this.#failure(why, cause))
      }
      const timer = setTimeout(() => fail(`no connection within ${this.#connectTimeoutMs} ms`), this.#connectTimeoutMs)
      socket.once('error', (error) => fail(messageOf(error), error))
      socket.once('close', () => clearTimeout(timer))
      socket.once('connect', () => {
        clearTimeout(timer)
        socket.removeAllListeners()
        resolve(socket)
      })
    })
  }

  #failure(why: string, cause?: unknown): Failure {
    return new Failure(this.#unavailable, `${this.address} cannot be reached: ${why}`, { cause })
  }
}

function openSession(socket: net.Socket): http2.ClientHttp2Session {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  const session = http2.connect('http://localhost', {
    createConnection: () => socket,
    maxSessionMemory: 64,
    settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
  })
  session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW))
  return session
}

function parseTarget(target: string): net.NetConnectOpts {
  if (target.startsWith('unix:')) return { path: target.slice('unix:'.length) }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/\s]+)):(\d{1,5})$/.exec(target)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || port < 1 || port > 65_535)
    throw new Failure('usage.invalid', `"${target}" is no address: write host:port, [ip]:port or unix:/path`)
  return { host, port }
}
