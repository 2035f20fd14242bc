import type net from 'node:net'
import { Failure, messageOf } from '#core'
import type { Buffers } from './buffers.ts'
import {
  type BlockSpan,
  digestOf,
  encodeBlocksHeader,
  encodeContentPrefix,
  encodeError,
  ERROR_CODE,
  MAX_REQUESTS,
} from './codec.ts'
import { type Request, RequestReader } from './request-reader.ts'
import { type Content, Sender } from './sender.ts'
import type { PieceServerOptions } from './served.ts'

const REQUEST_TIMEOUT_MS = 10_000
const PRESSED_TIMEOUT_MS = 10_000
const KEEP_IDLE_MS = 30_000

export interface ServedConnectionDeps {
  readonly options: PieceServerOptions
  /** Shared by all connections. */
  readonly buffers: Buffers
  /** Connections that wait for their child to ask again, longest first. */
  readonly idle: Set<ServedConnection>
}

/**
 * What one child asks: a piece, after which the connection ends, or blocks again and again. Blocks are answered in the
 * order in which they were asked for.
 */
export class ServedConnection {
  readonly #socket: net.Socket
  readonly #deps: ServedConnectionDeps
  readonly #gone = new AbortController()
  readonly #peer: string
  readonly #requests = new RequestReader()
  readonly #sender: Sender
  readonly #waiting: BlockSpan[] = []
  #phase: 'new' | 'piece' | 'blocks' | 'idle' | 'ended' = 'new'
  #phaseAt = performance.now()
  #ending = false

  constructor(socket: net.Socket, deps: ServedConnectionDeps) {
    this.#socket = socket
    this.#deps = deps
    this.#peer = `${socket.remoteAddress}:${socket.remotePort}`
    this.#sender = new Sender({ socket, buffers: deps.buffers, limit: deps.options.limit, gone: this.#gone.signal })
    socket.on('error', () => undefined) // 'close' follows
    socket.once('close', () => this.#closed())
    socket.on('data', (chunk) => this.#arrived(chunk))
    socket.once('end', () => this.#childEnded())
  }

  drop(): void {
    this.#socket.destroy()
  }

  /** Waiting for the disk or for our own rate limit is not the child's fault: only what it does not take counts. */
  dropIfStuck(now: number): void {
    const { options, buffers } = this.#deps
    if (this.#phase === 'idle') {
      if (now - this.#phaseAt > (options.keepIdleMs ?? KEEP_IDLE_MS)) this.drop()
      return
    }
    const answering = this.#phase === 'piece' || this.#phase === 'blocks'
    if (answering && !this.#sender.onTheWay) return
    const patience = answering ? options.idleTimeoutMs : REQUEST_TIMEOUT_MS
    const limit = buffers.scarce ? Math.min(patience, PRESSED_TIMEOUT_MS) : patience
    if (now - (answering ? this.#sender.progressAt : this.#phaseAt) > limit) this.drop()
  }

  #enter(phase: 'piece' | 'blocks' | 'idle' | 'ended'): void {
    this.#phase = phase
    this.#phaseAt = performance.now()
    if (phase === 'idle') this.#deps.idle.add(this)
    else this.#deps.idle.delete(this)
  }

  #closed(): void {
    this.#deps.idle.delete(this)
    this.#gone.abort(new Failure('download.cancelled', 'the child went away'))
  }

  #childEnded(): void {
    this.#ending = true
    if (this.#phase === 'new' || this.#phase === 'idle') this.drop()
  }

  /** To what is not understood there is no answer, as with stock parents. */
  #arrived(chunk: Buffer): void {
    if (this.#phase === 'ended') return
    try {
      for (const request of this.#requests.read(chunk)) this.#take(request)
    } catch {
      this.drop()
    }
  }

  #take(request: Request): void {
    if (this.#phase === 'piece' || (request.kind === 'piece' && this.#phase !== 'new'))
      throw new Failure('piece.corrupt', 'a piece is asked for first, and nothing behind it')
    if (request.kind === 'piece') {
      this.#enter('piece')
      return this.#run(this.#answerPiece(request))
    }
    if (this.#deps.options.findBlocks === undefined || this.#waiting.length >= MAX_REQUESTS)
      throw new Failure('piece.corrupt', 'no blocks are given away here, or not so many')
    this.#waiting.push(request)
    if (this.#phase === 'blocks') return
    this.#enter('blocks')
    this.#run(this.#answerBlocks())
  }

  #run(answering: Promise<void>): void {
    answering.catch(() => this.drop())
  }

  async #answerPiece({ taskId, number }: { taskId: string; number: number }): Promise<void> {
    const startedAt = performance.now()
    const { options } = this.#deps
    const piece = await this.#found(number, () => options.find(taskId, number, this.#gone.signal))
    if (piece !== undefined) {
      const head = encodeContentPrefix({ ...piece, digest: digestOf(piece.crc32), trafficType: 1 })
      await this.#sender.send(head, piece)
      await this.#served({ taskId, number }, piece.length, startedAt)
    }
    this.#end()
  }

  /** While the last bytes of one answer are on their way, the first of the next are read. */
  async #answerBlocks(): Promise<void> {
    while (this.#phase === 'blocks') {
      const span = this.#waiting.shift()
      if (span !== undefined) await this.#answerSpan(span)
      else await this.#pause()
    }
  }

  async #answerSpan({ taskId, number, first, count }: BlockSpan): Promise<void> {
    const startedAt = performance.now()
    const { options } = this.#deps
    const blocks = await this.#found(
      number,
      async () => await options.findBlocks?.(taskId, number, first, count, this.#gone.signal),
    )
    if (blocks === undefined) return
    await this.#sender.send(encodeBlocksHeader(blocks.length), blocks)
    this.#run(this.#served({ taskId, number, blocks: count }, blocks.length, startedAt))
  }

  /** All that was asked is answered: the child may ask again, if it has not ended its side. */
  async #pause(): Promise<void> {
    await this.#sender.sent()
    if (this.#waiting.length > 0) return
    if (this.#ending) this.#end()
    else this.#enter('idle')
  }

  /** What is to be sent; otherwise the child is told why not. That something is not here is no reason to part. */
  async #found<T extends Content>(number: number, find: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      const found = await find()
      if (found === undefined) await this.#sender.say(encodeError(ERROR_CODE.notFound, `piece ${number} is not here`))
      return found
    } catch (error) {
      const why = error instanceof Failure ? messageOf(error) : 'internal error'
      await this.#sender.say(encodeError(ERROR_CODE.internal, why))
      this.#end()
      return undefined
    }
  }

  #end(): void {
    this.#enter('ended')
    this.#waiting.length = 0
    this.#socket.end()
  }

  async #served(what: { taskId: string; number: number; blocks?: number }, bytes: number, from: number): Promise<void> {
    await this.#sender.sent()
    this.#deps.options.onServed?.({ ...what, bytes, ms: performance.now() - from, peer: this.#peer })
  }
}
