import net from 'node:net'
import { type ByteSink, Failure, messageOf } from '#core'
import { BlockAnswer } from './block-answer.ts'
import type { BlockRequest } from './block-request.ts'
import { decodeError, decodeHeader, ERROR_CODE, type Header, HEADER_LENGTH, MAX_ERROR_BYTES, TAG } from './codec.ts'

/** Who asks over a wire, and is told what comes of it. */
export interface WireOwner {
  /** The oldest request without an answer. */
  readonly front: BlockRequest | undefined
  connected(): void
  /** Bytes came. */
  heard(): void
  /** The front request is answered, with all its bytes or with a refusal. */
  answered(): void
  /** A sink wants no more for now, or wants more again. */
  paused(paused: boolean): void
  /** The parent closed the socket, or it could not be opened. */
  closed(why: string, cause?: unknown): void
  /** What came, or a sink, makes the socket useless. */
  failed(error: unknown): void
}

/**
 * One socket to a parent. It reads exactly the head of each answer, so that the first byte of the content is the first
 * byte of its sink: bytes go from the kernel into the sink's memory.
 */
export class BlockWire {
  readonly #owner: WireOwner
  readonly #socket: net.Socket
  #connected = false
  #over = false
  /** Bytes of the head: those that came, and how many are wanted before they can be understood. */
  readonly #head = new Uint8Array(HEADER_LENGTH)
  #wanted: Uint8Array = this.#head
  #have = 0
  #answer: BlockAnswer | undefined

  constructor(at: { readonly host: string; readonly port: number }, owner: WireOwner) {
    this.#owner = owner
    const onread = { buffer: () => this.#space(), callback: (length: number) => this.#arrived(length) }
    this.#socket = net.connect({ host: at.host, port: at.port, noDelay: true, onread })
    this.#socket.once('connect', () => {
      this.#connected = true
      if (!this.#over) owner.connected()
    })
    this.#socket.on('error', (error) => this.#ended(messageOf(error), error))
    this.#socket.once('close', () => this.#ended('it closed the connection'))
  }

  get connected(): boolean {
    return this.#connected
  }

  /** The kernel writes into the sink of this request next. */
  fills(request: BlockRequest): boolean {
    return this.#answer?.request === request && this.#answer.exposed
  }

  /** What is written before the connection is up is sent then. */
  write(packet: Uint8Array): void {
    this.#socket.write(packet)
  }

  /** A reset, so that the parent stops sending at once. Nothing more is told. */
  reset(): void {
    this.#over = true
    if (this.#socket.readyState === 'open') this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  /** Where the next bytes go. Asked right after each `#arrived`, also when that said to pause. */
  #space(): Uint8Array {
    if (this.#over) return this.#head
    try {
      return this.#answer?.space() ?? this.#wanted.subarray(this.#have)
    } catch (error) {
      this.#fail(error)
      return this.#head
    }
  }

  /** False pauses the socket. */
  #arrived(length: number): boolean {
    if (this.#over) return false
    this.#owner.heard()
    try {
      return this.#answer === undefined ? this.#headArrived(length) : this.#contentArrived(length, this.#answer)
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  #headArrived(length: number): boolean {
    this.#have += length
    if (this.#have === this.#wanted.length) {
      if (this.#wanted === this.#head) this.#header(decodeHeader(this.#head))
      else this.#refused(this.#wanted)
    }
    return !this.#over
  }

  #contentArrived(length: number, answer: BlockAnswer): boolean {
    const busy = answer.filled(length)
    if (answer.left === 0) {
      this.#want(this.#head)
      answer.request.resolve()
      this.#owner.answered()
    }
    if (busy !== undefined && !this.#over) this.#pause(busy, answer)
    return busy === undefined && !this.#over
  }

  /** Once all bytes are in its sink, whether that can keep them is between the sink and whoever asked. */
  #pause(sink: ByteSink, answer: BlockAnswer): void {
    const resume = (): void => {
      if (this.#over) return
      this.#owner.paused(false)
      this.#socket.resume()
    }
    this.#owner.paused(true)
    sink.drained().then(resume, (error: unknown) => (answer.left > 0 ? this.#fail(error) : resume()))
  }

  #want(bytes: Uint8Array): void {
    this.#wanted = bytes
    this.#have = 0
    this.#answer = undefined
  }

  #header({ tag, length }: Header): void {
    const { front } = this.#owner
    if (tag === TAG.error && length >= 1 && length <= MAX_ERROR_BYTES) return this.#want(new Uint8Array(length))
    if (tag !== TAG.blocksContent) throw corrupt(`it answered with a packet of kind ${tag} and ${length} bytes`)
    if (front === undefined) throw corrupt('it answered what nobody asked for')
    const { bytes } = front.ask
    if (length !== bytes) throw corrupt(`it sent ${length} bytes when asked for ${bytes}`)
    this.#answer = new BlockAnswer(front)
  }

  /** What the parent does not have, another request may find; whatever else is wrong with it lasts. */
  #refused(value: Uint8Array): void {
    const { code, message } = decodeError(value)
    const { front } = this.#owner
    this.#want(this.#head)
    if (code !== ERROR_CODE.notFound || front === undefined)
      throw new Failure('peer.unreachable', `it refused (${code}): ${message}`)
    const { number, taskId } = front.ask
    front.reject(new Failure('piece.missing', `blocks of piece ${number} of ${taskId} are not there: ${message}`))
    this.#owner.answered()
  }

  #ended(why: string, cause?: unknown): void {
    if (this.#over) return
    this.#over = true
    const { left, request } = this.#answer ?? {}
    const missing = left === undefined ? '' : ` ${left} of ${request?.ask.bytes} bytes too early`
    this.#owner.closed(`${why}${missing}`, cause)
  }

  #fail(error: unknown): void {
    if (this.#over) return
    this.reset()
    this.#owner.failed(error)
  }
}

function corrupt(why: string): Failure {
  return new Failure('piece.corrupt', `not a Vortex answer: ${why}`)
}
