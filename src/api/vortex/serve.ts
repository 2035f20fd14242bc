import net from 'node:net'
import { Failure, messageOf } from '#core'
import { listenOn } from '../listen.ts'
import { Buffers } from './buffers.ts'
import {
  decodeHeader,
  decodeRequest,
  digestOf,
  encodeContentPrefix,
  encodeError,
  ERROR_CODE,
  HEADER_LENGTH,
  REQUEST_LENGTH,
  TAG,
} from './codec.ts'

/** A piece as `servePieces` gives it away. */
export interface ServedPiece {
  readonly number: number
  readonly offset: number
  readonly length: number
  readonly crc32: number
  /** Peer it came from; empty for the source. */
  readonly parentId: string
  readonly costMs: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
  /** Reads bytes of the piece, `position` counted from its start, into `target`; resolves to how many. */
  read(position: number, target: Uint8Array): Promise<number>
}

/** Neighbouring blocks of one piece as `servePieces` gives them away. */
export interface ServedBlocks {
  /** Bytes of all of them. */
  readonly length: number
  /** Reads their bytes, `position` counted from the start of the first, into `target`; resolves to how many. */
  read(position: number, target: Uint8Array): Promise<number>
}

export interface PieceServerOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** The piece, or undefined when it is not here. */
  find(taskId: string, number: number, signal: AbortSignal): Promise<ServedPiece | undefined>
  /** `count` blocks of a piece from block `first` on, or undefined when not all of them are here. */
  findBlocks?(
    taskId: string,
    number: number,
    first: number,
    count: number,
    signal: AbortSignal,
  ): Promise<ServedBlocks | undefined>
  /** Further connections are told that this host is busy, and closed. */
  readonly maxConnections: number
  /** A child that takes nothing for so long is dropped; sooner when others wait for buffers. */
  readonly idleTimeoutMs: number
  /** Upload rate: asked before bytes are sent. */
  readonly limit?: { take(bytes: number, signal: AbortSignal): Promise<void> }
  onServed?(served: { taskId: string; number: number; bytes: number; ms: number; peer: string }): void
}

export interface PieceServer extends AsyncDisposable {
  readonly port: number
}

/** Large reads cost the least; more than this gains nothing. */
const BUFFER_BYTES = 512 * 1024
/** All connections together: 32 MiB. */
const MAX_BUFFERS = 64
const REQUEST_TIMEOUT_MS = 10_000
const PRESSED_TIMEOUT_MS = 10_000
const SWEEP_MS = 1000
/** Connections more than are served, that may be told so; any more are closed without a word. */
const MAX_REFUSALS = 64
const REFUSAL_MS = 1000

/** Serves pieces over TCP, one per connection. Fails with `config.invalid` when it cannot listen there. */
export async function servePieces(options: PieceServerOptions): Promise<PieceServer> {
  const buffers = new Buffers(BUFFER_BYTES, MAX_BUFFERS)
  const connections = new Set<Connection>()
  const refused = new Set<net.Socket>()
  // Stock children close their side before the content comes: without allowHalfOpen Node would then close ours.
  const server = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
    if (connections.size >= options.maxConnections) return refuse(socket, refused)
    const connection = new Connection(socket, options, buffers)
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

/** One request and its answer. */
class Connection {
  readonly #socket: net.Socket
  readonly #options: PieceServerOptions
  readonly #buffers: Buffers
  readonly #gone = new AbortController()
  readonly #peer: string
  #request: Buffer | undefined = Buffer.alloc(0)
  #phase: 'request' | 'answer' | 'end' = 'request'
  #progressAt = performance.now()
  /** Buffers given to the socket and not yet taken by the kernel. */
  #onTheWay = 0

  constructor(socket: net.Socket, options: PieceServerOptions, buffers: Buffers) {
    this.#socket = socket
    this.#options = options
    this.#buffers = buffers
    this.#peer = `${socket.remoteAddress}:${socket.remotePort}`
    socket.on('error', () => undefined) // 'close' follows
    socket.once('close', () => this.#gone.abort(new Failure('download.cancelled', 'the child went away')))
    socket.on('data', (chunk) => this.#arrived(chunk))
    socket.once('end', () => {
      if (this.#phase === 'request') this.drop()
    })
  }

  drop(): void {
    this.#socket.destroy()
  }

  /** Waiting for the disk or for our own rate limit is not the child's fault: only what it does not take counts. */
  dropIfStuck(now: number): void {
    if (this.#phase === 'answer' && this.#onTheWay === 0) return
    const patient = this.#phase === 'answer' ? this.#options.idleTimeoutMs : REQUEST_TIMEOUT_MS
    const limit = this.#buffers.scarce ? Math.min(patient, PRESSED_TIMEOUT_MS) : patient
    if (now - this.#progressAt > limit) this.drop()
  }

  #arrived(chunk: Buffer): void {
    if (this.#request === undefined) return this.drop() // one request per connection, and nothing behind it
    this.#request = Buffer.concat([this.#request, chunk])
    if (this.#request.length < HEADER_LENGTH + REQUEST_LENGTH) return
    const packet = this.#request
    this.#request = undefined
    this.#phase = 'answer'
    this.#progressAt = performance.now()
    this.#answer(packet).then(
      () => {
        this.#phase = 'end'
        this.#progressAt = performance.now()
        this.#socket.end()
      },
      () => this.drop(),
    )
  }

  /** Answers, or throws to close without a word, as stock parents do for what they do not understand. */
  async #answer(packet: Buffer): Promise<void> {
    const { tag, length } = decodeHeader(packet)
    const wellFormed = tag === TAG.downloadPiece && length === REQUEST_LENGTH
    if (!wellFormed || packet.length > HEADER_LENGTH + REQUEST_LENGTH)
      throw new Failure('piece.corrupt', 'not a request for a piece')
    const { taskId, number } = decodeRequest(packet.subarray(HEADER_LENGTH))
    const found = await this.#find(taskId, number)
    if ('error' in found) {
      this.#socket.write(found.error)
      return
    }
    const from = performance.now()
    await this.#send(found.piece)
    const ms = performance.now() - from
    this.#options.onServed?.({ taskId, number, bytes: found.piece.length, ms, peer: this.#peer })
  }

  async #find(taskId: string, number: number): Promise<{ piece: ServedPiece } | { error: Uint8Array }> {
    try {
      const piece = await this.#options.find(taskId, number, this.#gone.signal)
      if (piece !== undefined) return { piece }
      return { error: encodeError(ERROR_CODE.notFound, `piece ${number} is not here`) }
    } catch (error) {
      const why = error instanceof Failure ? messageOf(error) : 'internal error'
      return { error: encodeError(ERROR_CODE.internal, why) }
    }
  }

  /** While one buffer is on its way the next is read; a buffer is used again only when the kernel has taken it. */
  async #send(piece: ServedPiece): Promise<void> {
    this.#socket.write(encodeContentPrefix({ ...piece, digest: digestOf(piece.crc32), trafficType: 1 }))
    let sending: Promise<void> = Promise.resolve()
    for (let position = 0; position < piece.length; ) {
      const buffer = await this.#buffers.take()
      const before = sending
      const part = buffer.subarray(0, Math.min(buffer.length, piece.length - position))
      sending = this.#fill(piece, position, part, before)
        .then(() => this.#write(part))
        .finally(() => this.#buffers.give(buffer))
      sending.catch(() => undefined) // told by the next round, or at the end
      position += part.length
      await before
    }
    await sending
  }

  async #fill(piece: ServedPiece, position: number, part: Uint8Array, before: Promise<void>): Promise<void> {
    await this.#options.limit?.take(part.length, this.#gone.signal)
    for (let have = 0; have < part.length; ) {
      const bytes = await piece.read(position + have, part.subarray(have))
      if (bytes === 0)
        throw new Failure('storage.failed', `piece ${piece.number} is shorter than ${piece.length} bytes`)
      have += bytes
    }
    await before
  }

  #write(part: Uint8Array): Promise<void> {
    this.#gone.signal.throwIfAborted()
    this.#progressAt = performance.now()
    this.#onTheWay += 1
    return new Promise((resolve, reject) => {
      this.#socket.write(part, (error) => {
        this.#progressAt = performance.now()
        this.#onTheWay -= 1
        if (error) reject(error)
        else resolve()
      })
    })
  }
}
