import type net from 'node:net'
import { Failure } from '#core'
import type { Buffers } from './buffers.ts'

/** Bytes to be sent: `length` of them. */
export interface Content {
  readonly length: number
  /** Reads bytes from `position` on into `target`; resolves to how many. */
  read(position: number, target: Uint8Array): Promise<number>
}

export interface SenderOptions {
  readonly socket: Pick<net.Socket, 'cork' | 'uncork' | 'write'>
  /** Shared by all connections. */
  readonly buffers: Buffers
  /** Upload rate: asked before bytes are read. */
  readonly limit: { take(bytes: number, signal: AbortSignal): Promise<void> } | undefined
  /** Aborts when the child went away. */
  readonly gone: AbortSignal
}

/**
 * Sends to one child, one thing behind the other. While one buffer is on its way the next is read, also when that
 * belongs to the next content; a buffer is used again only when the kernel has taken it.
 */
export class Sender {
  readonly #options: SenderOptions
  #sending: Promise<void> = Promise.resolve()
  #progressAt = performance.now()
  #onTheWay = 0

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** Something was given to the socket and is not yet taken by the kernel. */
  get onTheWay(): boolean {
    return this.#onTheWay > 0
  }

  /** When the child last took something, or should have begun to; as `performance.now()`. */
  get progressAt(): number {
    return this.#progressAt
  }

  /** Sends a prefix and a content; resolves when the last of it is on its way. */
  async send(prefix: Uint8Array, content: Content): Promise<void> {
    if (content.length === 0) return this.say(prefix)
    const { buffers, limit, gone } = this.#options
    for (let position = 0; position < content.length; ) {
      const bytes = Math.min(buffers.bufferBytes, content.length - position)
      await limit?.take(bytes, gone) // before the buffer: others are not to wait for it meanwhile
      const buffer = await buffers.take()
      const part = buffer.subarray(0, bytes)
      try {
        await this.#fill(content, position, part)
        await this.#sending
      } catch (error) {
        buffers.give(buffer)
        throw error
      }
      const written = position === 0 ? this.#write(prefix, part) : this.#write(part)
      this.#keep(written.finally(() => buffers.give(buffer)))
      position += part.length
    }
  }

  /** Sends a few bytes; resolves when they are on their way. */
  async say(bytes: Uint8Array): Promise<void> {
    await this.#sending
    this.#keep(this.#write(bytes))
  }

  /** Resolves when all that was sent so far is taken by the kernel. */
  sent(): Promise<void> {
    return this.#sending
  }

  #keep(sending: Promise<void>): void {
    this.#sending = sending
    sending.catch(() => undefined) // told by whatever is sent next, or by `sent`
  }

  async #fill(content: Content, position: number, part: Uint8Array): Promise<void> {
    for (let have = 0; have < part.length; ) {
      const bytes = await content.read(position + have, part.subarray(have))
      if (bytes === 0) throw new Failure('storage.failed', `a content is shorter than ${content.length} bytes`)
      have += bytes
    }
  }

  /** All parts go to the kernel in one call. */
  #write(...parts: readonly Uint8Array[]): Promise<void> {
    const { socket, gone } = this.#options
    if (gone.aborted) return Promise.reject(gone.reason)
    this.#progressAt = performance.now()
    this.#onTheWay += 1
    return new Promise((resolve, reject) => {
      const taken = (error?: Error | null): void => {
        this.#progressAt = performance.now()
        this.#onTheWay -= 1
        if (error) reject(error)
        else resolve()
      }
      socket.cork()
      for (const [index, part] of parts.entries()) socket.write(part, index === parts.length - 1 ? taken : undefined)
      socket.uncork()
    })
  }
}
