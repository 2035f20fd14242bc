import type { Http2Stream } from 'node:http2'
import { FrameReader, ownCopy } from './frames.ts'

/** The other side is not read from while so much waits here. */
const MAX_WAITING_MESSAGES = 64
const MAX_WAITING_BYTES = 256 * 1024

interface Reader<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void
  readonly reject: (error: unknown) => void
}

/** Whoever takes all messages as they come. */
interface Taker<T> {
  readonly take: (message: T) => boolean
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * The messages that come in on a stream, at the pace of whoever takes them (one at a time). Messages that came before
 * the end or a failure are given first.
 */
export class Incoming<T> implements AsyncIterableIterator<T, undefined> {
  readonly #stream: Http2Stream
  readonly #decode: (bytes: Uint8Array) => T
  readonly #frames: FrameReader
  readonly #left: () => void
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #reader: Reader<T> | undefined
  #taker: Taker<T> | undefined
  #end: { error: unknown } | undefined

  /** `left` is called when the taker stops before the end. A `decode` that throws ends the iteration with its error. */
  constructor(stream: Http2Stream, decode: (bytes: Uint8Array) => T, options: { maxBytes: number; left: () => void }) {
    this.#stream = stream
    this.#decode = decode
    this.#frames = new FrameReader(options.maxBytes)
    this.#left = options.left
    stream.on('data', (chunk: Uint8Array) => this.#arrived(chunk))
  }

  /** Everything came: no more, or no more because of `error`. Only the first end counts. */
  finish(error?: unknown): void {
    this.#end ??= { error }
    if (this.#waiting.length > 0) return
    const reader = this.#reader
    const taker = this.#taker
    this.#reader = undefined
    this.#taker = undefined
    if (this.#end.error !== undefined) (reader ?? taker)?.reject(this.#end.error)
    else if (reader !== undefined) reader.resolve({ done: true, value: undefined })
    else taker?.resolve()
  }

  /** See `eachOf`. Not while somebody iterates. */
  each(take: (message: T) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting
      this.#waiting = []
      this.#waitingBytes = 0
      this.#taker = { take, resolve, reject }
      for (const body of waiting) this.#hand(body)
      if (this.#end !== undefined) this.finish()
      if (this.#stream.isPaused()) this.#stream.resume()
    })
  }

  /** Whether the stream ends in the middle of a message. */
  get cut(): boolean {
    return !this.#frames.idle
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const body = this.#waiting.shift()
    if (body !== undefined) return this.#give(body)
    if (this.#end?.error !== undefined) return Promise.reject(this.#end.error)
    if (this.#end !== undefined) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }

  return(): Promise<IteratorResult<T, undefined>> {
    const early = this.#end === undefined
    this.#waiting = []
    this.finish()
    this.#stream.resume()
    if (early) this.#left()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #give(body: Uint8Array): Promise<IteratorResult<T, undefined>> {
    this.#waitingBytes -= body.length
    const low = this.#waiting.length <= MAX_WAITING_MESSAGES / 2 && this.#waitingBytes <= MAX_WAITING_BYTES / 2
    if (low && this.#stream.isPaused()) this.#stream.resume()
    return { done: false, value: this.#decoded(body) }
  }

  #decoded(body: Uint8Array): T {
    try {
      return this.#decode(body)
    } catch (error) {
      this.#waiting = []
      this.#end = { error }
      this.#left()
      throw error
    }
  }

  #arrived(chunk: Uint8Array): void {
    if (this.#end !== undefined) return
    try {
      this.#frames.each(chunk, (body) => (this.#taker === undefined ? this.#keep(ownCopy(body)) : this.#hand(body)))
    } catch (error) {
      this.finish(error)
      this.#left()
    }
    const full = this.#waiting.length >= MAX_WAITING_MESSAGES || this.#waitingBytes >= MAX_WAITING_BYTES
    if (full) this.#stream.pause()
  }

  #keep(body: Uint8Array): void {
    const reader = this.#reader
    this.#waitingBytes += body.length
    if (reader === undefined) {
      this.#waiting.push(body)
      return
    }
    this.#reader = undefined
    this.#give(body).then(reader.resolve, reader.reject)
  }

  /** To the taker, for as long as there is one. */
  #hand(body: Uint8Array): void {
    const taker = this.#taker
    if (taker === undefined) return
    try {
      if (!taker.take(this.#decode(body))) return
      taker.resolve()
    } catch (error) {
      taker.reject(error)
    }
    this.#taker = undefined
    void this.return()
  }
}

/**
 * Calls `take` with each message as it comes, until that returns true, or throws, or nothing comes any more. As `for
 * await` would, but without a promise for each message, and without holding on to the last one until the next has come:
 * ten thousand streams keep ten thousand messages that way, and the collector moves each of them twice. What is taken
 * from a stream is decoded from the network's own buffer: the codec of such a method copies the bytes that it keeps.
 */
export async function eachOf<T>(messages: AsyncIterable<T>, take: (message: T) => boolean): Promise<void> {
  if (messages instanceof Incoming) return messages.each(take)
  for await (const message of messages) if (take(message)) return
}
