import net from 'node:net'
import { type ByteSink, Failure, messageOf } from '#core'
import {
  checkContentLength,
  decodeError,
  decodeHeader,
  decodeMetadata,
  decodeMetadataLength,
  encodeRequest,
  ERROR_CODE,
  type Header,
  HEADER_LENGTH,
  MAX_ERROR_BYTES,
  type PieceHead,
  TAG,
} from './codec.ts'

export interface FetchOptions {
  readonly host: string
  readonly port: number
  readonly taskId: string
  readonly number: number
  /** Longest silence of the parent. */
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly signal: AbortSignal
  /** Where the bytes go, once the parent has told what they are. May refuse by throwing. */
  sink(head: PieceHead): ByteSink
}

/**
 * Fetches one piece from a parent, straight from the kernel into the sink. Fails with `piece.missing` when the parent
 * does not have it, `peer.unreachable` when it cannot be reached, falls silent or stops early, `piece.corrupt` when it
 * says nonsense, the reason of the signal, or whatever the sink throws. Bytes beyond the piece, or a full sink, are
 * left.
 */
export function fetchPiece(options: FetchOptions): Promise<PieceHead> {
  return new Promise((resolve, reject) => {
    new Fetch(options, resolve, reject).start()
  })
}

/** The piece that comes, and how many of its bytes are still to come. */
interface Content {
  readonly head: PieceHead
  readonly sink: ByteSink
  left: number
}

/** The connection reads exactly the head, so that the first byte of the content is the first byte of the sink. */
class Fetch {
  readonly #options: FetchOptions
  readonly #done: (head: PieceHead) => void
  readonly #failed: (error: unknown) => void
  readonly #onAbort = (): void => this.#fail(this.#options.signal.reason)
  #socket: net.Socket | undefined
  #timer: NodeJS.Timeout | undefined
  #over = false
  #paused = false
  /** Bytes of the head: those that came, and how many are wanted before they can be understood. */
  #wanted = new Uint8Array(HEADER_LENGTH)
  #have = 0
  #understand: (bytes: Uint8Array) => void = (bytes) => this.#header(bytes)
  #content: Content | undefined

  constructor(options: FetchOptions, done: (head: PieceHead) => void, failed: (error: unknown) => void) {
    this.#options = options
    this.#done = done
    this.#failed = failed
  }

  start(): void {
    const { host, port, taskId, number, signal, connectTimeoutMs, timeoutMs } = this.#options
    if (signal.aborted) return this.#onAbort()
    signal.addEventListener('abort', this.#onAbort, { once: true })
    const request = encodeRequest(taskId, number)
    const onread = { buffer: () => this.#space(), callback: (length: number) => this.#arrived(length) }
    const socket = net.connect({ host, port, noDelay: true, onread })
    this.#socket = socket
    this.#timer = setTimeout(() => this.#late(`no connection within ${connectTimeoutMs} ms`), connectTimeoutMs)
    socket.once('connect', () => {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#late(`silent for ${timeoutMs} ms`), timeoutMs)
      socket.write(request)
    })
    socket.on('error', (error) => this.#fail(this.#unreachable(messageOf(error), error)))
    socket.once('close', () => this.#fail(this.#unreachable(this.#shortage())))
  }

  /** Where the next bytes go. Asked right after each `#arrived`, also when that said to pause. */
  #space(): Uint8Array {
    const content = this.#content
    if (this.#over) return this.#wanted
    if (content === undefined) return this.#wanted.subarray(this.#have)
    try {
      const space = content.sink.space()
      return space.length <= content.left ? space : space.subarray(0, content.left)
    } catch (error) {
      this.#fail(error)
      return this.#wanted
    }
  }

  /** False pauses the connection. */
  #arrived(length: number): boolean {
    if (this.#over) return false
    this.#timer?.refresh()
    try {
      return this.#content === undefined ? this.#headArrived(length) : this.#contentArrived(length, this.#content)
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  #headArrived(length: number): boolean {
    this.#have += length
    if (this.#have === this.#wanted.length) this.#understand(this.#wanted)
    return !this.#over
  }

  #contentArrived(length: number, content: Content): boolean {
    content.left -= length
    const more = content.sink.filled(length)
    if (content.left === 0 || content.sink.full) this.#finish(content.head)
    else if (!more) this.#pause(content.sink)
    return more && !this.#over
  }

  #pause(sink: ByteSink): void {
    this.#paused = true
    sink.drained().then(
      () => {
        if (this.#over) return // to refresh a cleared timer would set it going again
        this.#paused = false
        this.#timer?.refresh()
        this.#socket?.resume()
      },
      (error: unknown) => this.#fail(error),
    )
  }

  #want(length: number, understand: (bytes: Uint8Array) => void): void {
    this.#wanted = new Uint8Array(length)
    this.#have = 0
    this.#understand = understand
  }

  #header(bytes: Uint8Array): void {
    const header = decodeHeader(bytes)
    if (header.tag === TAG.pieceContent) {
      this.#want(4, (four) => this.#metadataLength(header, four))
    } else if (header.tag === TAG.error && header.length >= 1) {
      this.#want(Math.min(header.length, MAX_ERROR_BYTES), (value) => this.#refused(value))
    } else {
      throw new Failure('piece.corrupt', `${this.#parent} answered with a packet of kind ${header.tag}`)
    }
  }

  #metadataLength(header: Header, four: Uint8Array): void {
    const length = decodeMetadataLength(header, four)
    this.#want(length, (metadata) => this.#metadata(header, metadata))
  }

  #metadata(header: Header, bytes: Uint8Array): void {
    const head = decodeMetadata(bytes)
    checkContentLength(header, bytes.length, head)
    const { number } = this.#options
    if (head.number !== number)
      throw new Failure('piece.corrupt', `${this.#parent} sent piece ${head.number} when asked for ${number}`)
    const sink = this.#options.sink(head)
    this.#content = { head, sink, left: head.length }
    if (head.length === 0 || sink.full) this.#finish(head)
  }

  #refused(value: Uint8Array): void {
    const { code, message } = decodeError(value)
    const { taskId, number } = this.#options
    if (code === ERROR_CODE.notFound)
      throw new Failure('piece.missing', `${this.#parent} does not have piece ${number} of ${taskId}: ${message}`)
    throw this.#unreachable(`it refused (${code}): ${message}`)
  }

  #late(why: string): void {
    if (this.#paused) this.#timer?.refresh()
    else this.#fail(this.#unreachable(why))
  }

  #finish(head: PieceHead): void {
    if (!this.#settle()) return
    this.#socket?.destroy()
    this.#done(head)
  }

  /** A reset, not an end: stock children end their side and still read, so a parent would wait on. */
  #fail(error: unknown): void {
    if (!this.#settle()) return
    const socket = this.#socket
    if (socket?.readyState === 'open') socket.resetAndDestroy()
    else socket?.destroy()
    this.#failed(error)
  }

  #settle(): boolean {
    if (this.#over) return false
    this.#over = true
    clearTimeout(this.#timer)
    this.#options.signal.removeEventListener('abort', this.#onAbort)
    return true
  }

  #shortage(): string {
    const content = this.#content
    if (content === undefined) return 'it closed the connection without an answer'
    return `it closed the connection ${content.left} of ${content.head.length} bytes too early`
  }

  get #parent(): string {
    return net.isIPv6(this.#options.host)
      ? `[${this.#options.host}]:${this.#options.port}`
      : `${this.#options.host}:${this.#options.port}`
  }

  #unreachable(why: string, cause?: unknown): Failure {
    return new Failure('peer.unreachable', `piece ${this.#options.number} from ${this.#parent}: ${why}`, { cause })
  }
}
