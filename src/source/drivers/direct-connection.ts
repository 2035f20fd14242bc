import { connect, type Socket } from 'node:net'
import type { SourceError } from '../source-error.ts'
import { connectionError } from './http-exchange.ts'

/** Who takes what a connection reads. `space` and `took` are called in turn, starting with `space`. */
export interface ConnectionReader {
  /** Where the next read may put its bytes; never empty while the reader is in charge. */
  space(): Uint8Array
  /** `length` bytes are there. False: no more until `resume`. */
  took(length: number): boolean
  /** Nothing comes any more. */
  ended(error: SourceError | undefined): void
}

export interface ConnectionOptions {
  readonly host: string
  readonly port: number
  readonly signal: AbortSignal
  readonly onClose: () => void
}

/**
 * A TCP connection that reads into memory of its reader's choice, by `onread` of node:net.
 *
 * The trap there: the buffer of the next read is asked for right after each read, and stays the one even when reading
 * is paused in between. So memory may be handed out only if its owner leaves it alone until the next read. While nobody
 * is in charge, or the reader has just changed, the next read goes into a buffer of one byte, which is handed over at
 * once: no bytes ever wait in memory that somebody else goes on to use.
 */
export class DirectConnection {
  readonly #socket: Socket
  readonly #single = new Uint8Array(1)
  #reader: ConnectionReader | undefined
  /** Whose memory the next read fills; undefined: the single byte. */
  #owner: ConnectionReader | undefined
  #over: { readonly error: SourceError | undefined } | undefined

  constructor({ host, port, signal, onClose }: ConnectionOptions) {
    const onread = { buffer: () => this.#buffer(), callback: (length: number) => this.#read(length) }
    this.#socket = connect({ host, port, noDelay: true, onread })
    const onAbort = (): void => void this.#socket.destroy(new Error('aborted'))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    this.#socket.on('error', (error) => this.#end(connectionError(error)))
    this.#socket.on('end', () => this.#end(undefined))
    this.#socket.on('close', () => {
      signal.removeEventListener('abort', onAbort)
      onClose()
      this.#end(undefined)
    })
  }

  write(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  /** Gives all further bytes to this reader; to nobody without one. */
  readTo(reader: ConnectionReader | undefined): void {
    this.#reader = reader
    if (reader === undefined) return
    if (this.#over === undefined) this.#socket.resume()
    else reader.ended(this.#over.error)
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#reader = undefined
    this.#socket.destroy()
  }

  #buffer(): Uint8Array {
    this.#owner = this.#reader
    return this.#owner?.space() ?? this.#single
  }

  #read(length: number): boolean {
    const reader = this.#reader
    // Only a reader that is in charge keeps the connection reading; without one nothing was asked for.
    if (reader === undefined) return false
    if (this.#owner !== reader) reader.space().set(this.#single.subarray(0, length))
    return reader.took(length)
  }

  #end(error: SourceError | undefined): void {
    if (this.#over !== undefined) return
    this.#over = { error }
    this.#reader?.ended(error)
  }
}
