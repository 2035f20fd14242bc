import net from 'node:net'
import { listenOn } from '../listen.ts'
import { Buffers } from './buffers.ts'
import { encodeError, ERROR_CODE } from './codec.ts'
import { ServedConnection } from './serve-connection.ts'
import type { PieceServerOptions } from './served.ts'

export interface PieceServer extends AsyncDisposable {
  readonly port: number
}

/** Large reads cost the least; more than this gains nothing. */
const BUFFER_BYTES = 512 * 1024
/** All connections together: 32 MiB. */
const MAX_BUFFERS = 64
const SWEEP_MS = 1000
/** Connections more than are served, that may be told so; any more are closed without a word. */
const MAX_REFUSALS = 64
const REFUSAL_MS = 1000

/** Serves pieces over TCP, and blocks of them. Fails with `config.invalid` when it cannot listen there. */
export async function servePieces(options: PieceServerOptions): Promise<PieceServer> {
  const buffers = new Buffers(BUFFER_BYTES, MAX_BUFFERS)
  const connections = new Set<ServedConnection>()
  const idle = new Set<ServedConnection>()
  const refused = new Set<net.Socket>()
  // Stock children close their side before the content comes: without allowHalfOpen Node would then close ours.
  const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
    if (connections.size >= options.maxConnections && !dropOldest(idle, connections)) return refuse(socket, refused)
    const connection = new ServedConnection(socket, { options, buffers, idle })
    connections.add(connection)
    socket.once('close', () => connections.delete(connection))
  })
  server.maxConnections = options.maxConnections + MAX_REFUSALS
  await listenOn(server, options.listen)
  server.on('error', () => undefined) // one connection that could not be accepted is no reason to stop
  const sweep = setInterval(() => {
    for (const connection of connections) connection.dropIfStuck(performance.now())
  }, SWEEP_MS)
  sweep.unref()

  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      clearInterval(sweep)
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()))
      for (const connection of connections) connection.drop()
      for (const socket of refused) socket.destroy()
      await closed
    },
  }
}

/** Makes room: drops the connection that has waited longest for its child to ask again. False when there is none. */
function dropOldest(idle: Set<ServedConnection>, connections: Set<ServedConnection>): boolean {
  const [oldest] = idle
  if (oldest === undefined) return false
  idle.delete(oldest)
  connections.delete(oldest) // its socket closes a moment later
  oldest.drop()
  return true
}

/** Reads what the child says meanwhile: a connection that is closed over unread bytes takes the answer with it. */
function refuse(socket: net.Socket, refused: Set<net.Socket>): void {
  refused.add(socket)
  const timer = setTimeout(() => socket.destroy(), REFUSAL_MS)
  socket.once('close', () => {
    clearTimeout(timer)
    refused.delete(socket)
  })
  socket.on('error', () => undefined) // 'close' follows
  socket.resume()
  socket.end(encodeError(ERROR_CODE.internal, 'busy'))
}
