import type { ByteSink } from '#core'
import type { BlockRequest } from './block-request.ts'

/** Takes what nobody wants any more, of all connections. */
const NOWHERE = new Uint8Array(64 * 1024)

/** The bytes that answer one request, on their way into its sink; thrown away when the sink was not to be had. */
export class BlockAnswer {
  readonly request: BlockRequest
  readonly #sink: ByteSink | undefined
  #left: number
  /** The last space was the sink's. */
  #wanted = false

  /** A sink that throws when it is asked for ends the request, but not the connection. */
  constructor(request: BlockRequest) {
    this.request = request
    this.#left = request.ask.bytes
    this.#sink = sinkOf(request)
  }

  get left(): number {
    return this.#left
  }

  /** The sink's memory stands ready for the kernel to write into: it cannot be taken back but by closing the socket. */
  get exposed(): boolean {
    return this.#wanted
  }

  space(): Uint8Array {
    const sink = this.request.over ? undefined : this.#sink
    this.#wanted = sink !== undefined && !sink.full
    const space = sink !== undefined && this.#wanted ? sink.space() : NOWHERE
    return space.length <= this.#left ? space : space.subarray(0, this.#left)
  }

  /** Says what to wait for before more is read, if for anything. */
  filled(length: number): ByteSink | undefined {
    this.#left -= length
    if (!this.#wanted || this.#sink === undefined) return undefined
    this.#wanted = false
    return this.#sink.filled(length) ? undefined : this.#sink
  }
}

function sinkOf(request: BlockRequest): ByteSink | undefined {
  if (request.over) return undefined
  try {
    return request.ask.sink()
  } catch (error) {
    request.reject(error)
    return undefined
  }
}
