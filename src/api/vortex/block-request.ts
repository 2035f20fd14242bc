import { Failure } from '#core'
import type { BlockAsk } from './block-connection.ts'
import { encodeBlocksRequest } from './codec.ts'

/** A request that was asked and is not answered whole. Ends once, whoever ends it first. */
export class BlockRequest {
  readonly ask: BlockAsk
  readonly packet: Uint8Array
  readonly done: Promise<void>
  #over = false
  #resolve: () => void = () => undefined
  #reject: (error: unknown) => void = () => undefined
  readonly #onAbort: () => void

  /** `aborted` is called when the signal has ended the request. Fails with `usage.invalid` for what cannot be asked. */
  constructor(ask: BlockAsk, aborted: (request: BlockRequest) => void) {
    this.ask = ask
    this.packet = encodeBlocksRequest(ask)
    if (!(ask.bytes > 0)) throw new Failure('usage.invalid', `${ask.count} blocks have no ${ask.bytes} bytes`)
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#onAbort = () => {
      this.reject(ask.signal?.reason)
      aborted(this)
    }
    ask.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Nobody waits for its bytes any more. */
  get over(): boolean {
    return this.#over
  }

  resolve(): void {
    if (this.#end()) this.#resolve()
  }

  reject(error: unknown): void {
    if (this.#end()) this.#reject(error)
  }

  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.ask.signal?.removeEventListener('abort', this.#onAbort)
    return true
  }
}
