import type { ByteSink } from '#core'
import { fill } from '#core'
import type { PourableBody } from '#source'
import type { BodyReader, Call } from './call.ts'

const CHUNK_BYTES = 256 * 1024

/** Told how a body goes. */
export interface BodyWatcher {
  onBytes(bytes: number): void
  onEnd(error?: unknown): void
  /** What a failure is for who reads the body. */
  told(error: unknown): unknown
}

/**
 * The body of a plugin's answer, which goes from the socket straight into a sink. It is held to the length that was
 * announced: its last byte is given only when the body has ended there, because a sink makes lasting things of what it
 * was given.
 */
export class ApartBody implements PourableBody {
  readonly #call: Call
  readonly #onBytes: (bytes: number) => void
  readonly #onEnd: (error?: unknown) => void
  readonly #told: (error: unknown) => unknown

  constructor(call: Call, watcher: BodyWatcher) {
    this.#call = call
    this.#onBytes = (bytes) => watcher.onBytes(bytes)
    this.#onEnd = (error) => watcher.onEnd(error)
    this.#told = (error) => watcher.told(error)
  }

  async pour(sink: ByteSink, bytes?: number): Promise<number> {
    try {
      const pouring = new Pouring(this.#call, sink, bytes, this.#onBytes)
      const given = await pouring.done
      this.#onEnd()
      return given
    } catch (error) {
      this.#onEnd(error)
      throw this.#told(error)
    } finally {
      this.#call.close()
    }
  }

  /** For who wants chunks: each is read when it is asked for, into memory of its own. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let buffer = new Uint8Array(0)
    let wake: (chunk: Uint8Array | Error | undefined) => void = () => undefined
    const next = (): Promise<Uint8Array | Error | undefined> => new Promise((resolve) => (wake = resolve))
    let coming = next()
    const reader: BodyReader = {
      space: (most) => (buffer = new Uint8Array(Math.min(CHUNK_BYTES, most))),
      took(length) {
        wake(buffer.subarray(0, length))
        return false
      },
      ended: () => wake(undefined),
      failed: (error) => wake(error instanceof Error ? error : new Error(String(error))),
    }
    let failure: unknown
    try {
      this.#call.readTo(reader)
      for (;;) {
        const chunk = await coming
        if (chunk === undefined) return
        if (chunk instanceof Error) {
          failure = chunk
          throw this.#told(chunk)
        }
        this.#onBytes(chunk.length)
        coming = next()
        yield chunk
        this.#call.resume()
      }
    } finally {
      this.#call.close()
      this.#onEnd(failure)
    }
  }

  destroy(): void {
    this.#call.close()
    this.#onEnd()
  }
}

/** One body on its way into one sink. */
class Pouring implements BodyReader {
  readonly done: Promise<number>
  readonly #call: Call
  readonly #sink: ByteSink
  /** Bytes that the body must have, where that is known. */
  readonly #due: number | undefined
  readonly #onBytes: (bytes: number) => void
  readonly #last = new Uint8Array(1)
  #given = 0
  /** The last byte of the length that is due is here, and held back. */
  #holdsLast = false
  #resolve: (given: number) => void = () => undefined
  #reject: (error: unknown) => void = () => undefined

  constructor(call: Call, sink: ByteSink, due: number | undefined, onBytes: (bytes: number) => void) {
    this.#call = call
    this.#sink = sink
    this.#due = due
    this.#onBytes = onBytes
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    call.readTo(this)
  }

  space(most: number): Uint8Array {
    if (this.#isLast() || this.#sink.full) return this.#last
    const room = this.#due === undefined ? most : Math.min(most, this.#due - 1 - this.#given)
    const space = this.#sink.space()
    return space.length <= room ? space : space.subarray(0, room)
  }

  took(length: number): boolean {
    if (this.#holdsLast) throw new Error(`the body has more than the ${this.#due} bytes announced`)
    if (this.#due === 0) throw new Error('the body has more than the 0 bytes announced')
    if (this.#sink.full && this.#due === undefined) throw new Error(`the body has more than ${this.#given} bytes`)
    if (this.#isLast()) {
      this.#holdsLast = true
      return true
    }
    this.#given += length
    this.#onBytes(length)
    const more = this.#sink.filled(length)
    if (this.#sink.full && this.#due !== undefined) {
      this.#resolve(this.#given)
      return false
    }
    if (!more) this.#sink.drained().then(() => this.#call.resume(), this.#reject)
    return more
  }

  ended(): void {
    if (!this.#holdsLast) return this.#resolve(this.#given)
    this.#onBytes(1)
    fill(this.#sink, this.#last).then((taken) => this.#resolve(this.#given + taken), this.#reject)
  }

  failed(error: unknown): void {
    this.#reject(error)
  }

  #isLast(): boolean {
    return this.#due !== undefined && this.#given >= this.#due - 1
  }
}
