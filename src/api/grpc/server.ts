import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Failure, type FailureCode } from '#core'
import type { Route } from './implement.ts'
import { type Address, freeStaleSocket, listenOn } from '../listen.ts'
import { answer, refuse } from './server-call.ts'
import { STATUS, StatusError } from './status.ts'

export interface ServeOptions {
  /** What `implement` made of each service. */
  readonly services: readonly (readonly Route[])[]
  /** A port of 0 takes any free one. A unix socket has mode 0600 unless told otherwise. */
  readonly listen: Address
  readonly limits?: Partial<ServerLimits>
  /** Calls may go on for so long after the server was told to close; 1 s when not given. */
  readonly drainMs?: number
  /** What calls that do not end by then fail with; `peer.unreachable` when not given. */
  readonly stopping?: FailureCode
  /** Told of what a handler threw that was no Failure: a bug. */
  readonly onBug?: (error: unknown, where: { path: string; peer: string }) => void
}

export interface ServerLimits {
  readonly connections: number
  readonly callsPerConnection: number
  readonly calls: number
}

export interface GrpcServer extends AsyncDisposable {
  /** `host:port` or `unix:/path`, as `openChannel` takes it. */
  readonly address: string
  /** 0 for a unix socket. */
  readonly port: number
}

const DEFAULT_LIMITS: ServerLimits = { connections: 1024, callsPerConnection: 1024, calls: 16_384 }
const KEEP_ALIVE_MS = 30_000
/** A connection that says nothing in HTTP/2 for so long is no client; one without calls for so long has no use. */
const HANDSHAKE_MS = 10_000
const UNUSED_MS = 20 * 60_000
/** How long calls that were told to stop may take to say goodbye. */
const GOODBYE_MS = 200

/** Listens for gRPC calls over HTTP/2 without TLS. Fails with `config.invalid` when it cannot listen there. */
export async function serveGrpc(options: ServeOptions): Promise<GrpcServer> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const routes = new Map(options.services.flat().map((route) => [route.method.path, route]))
  const clients = new Map<http2.Http2Session, Client>()
  const hangUps = new Set<AbortController>()
  let calls = 0

  const server = createServer(limits)
  server.maxConnections = limits.connections
  server.on('session', (session) => {
    clients.set(session, new Client(session))
    session.once('close', () => clients.delete(session))
    session.setLocalWindowSize(CONNECTION_WINDOW)
  })
  server.on('stream', (stream, headers) => {
    const route = routes.get(String(headers[':path']))
    if (calls >= limits.calls) return refuse(stream, new StatusError(STATUS.RESOURCE_EXHAUSTED, 'too many calls'))
    const client = stream.session && clients.get(stream.session)
    calls++
    client?.count(1)
    stream.once('close', () => {
      calls--
      client?.count(-1)
    })
    answer(stream, headers, route, { hangUps, onBug: options.onBug ?? (() => undefined) })
  })
  await freeStaleSocket(options.listen)
  await listenOn(server, options.listen)
  // Without a listener an error of the listening socket (no more files, say) would end the process.
  server.on('error', (error) => options.onBug?.(error, { path: 'listen', peer: '' }))

  return {
    ...boundAddress(server, options.listen),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()))
      for (const session of clients.keys()) session.close()
      const timers = [
        setTimeout(
          () => hangUpAll(hangUps, new Failure(options.stopping ?? 'peer.unreachable', 'this server shuts down')),
          options.drainMs ?? 1000,
        ),
        setTimeout(() => clients.forEach((_, session) => session.destroy()), (options.drainMs ?? 1000) + GOODBYE_MS),
      ]
      await closed
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

function hangUpAll(hangUps: ReadonlySet<AbortController>, why: Failure): void {
  for (const hangUp of hangUps) hangUp.abort(why)
}

const STREAM_WINDOW = 256 * 1024
const CONNECTION_WINDOW = 4 * 2 ** 20

/** Sessions that break the protocol, or flood it, are ended by Node; nothing of that reaches anybody else. */
function createServer(limits: ServerLimits): http2.Http2Server {
  const server = http2.createServer({
    settings: {
      maxConcurrentStreams: limits.callsPerConnection,
      initialWindowSize: STREAM_WINDOW,
      maxHeaderListSize: 32 * 1024,
      enablePush: false,
    },
    maxSessionMemory: 64,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
  })
  server.on('sessionError', () => undefined)
  server.on('connection', (socket) => {
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
  })
  return server
}

/**
 * Watches one connection for as long as it lives. Not by `session.setTimeout`: Node does not take that timer back when
 * the session ends, and so keeps every dead one until its time is up.
 */
class Client {
  readonly #session: http2.ServerHttp2Session
  readonly #unused: NodeJS.Timeout
  #calls = 0

  constructor(session: http2.ServerHttp2Session) {
    this.#session = session
    const handshake = setTimeout(() => session.destroy(), HANDSHAKE_MS)
    this.#unused = setTimeout(() => {
      if (this.#calls === 0) session.close()
    }, UNUSED_MS).unref()
    session.once('remoteSettings', () => clearTimeout(handshake))
    session.once('close', () => {
      clearTimeout(handshake)
      clearTimeout(this.#unused)
    })
  }

  /** A call came, or went. */
  count(by: 1 | -1): void {
    this.#calls += by
    if (!this.#session.destroyed) this.#unused.refresh() // which would set a cleared timer going again
  }
}

function boundAddress(server: http2.Http2Server, listen: Address): { address: string; port: number } {
  if ('path' in listen) return { address: `unix:${listen.path}`, port: 0 }
  const { port } = server.address() as AddressInfo
  return { address: listen.host.includes(':') ? `[${listen.host}]:${port}` : `${listen.host}:${port}`, port }
}
