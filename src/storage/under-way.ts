import type { BufferPool, BufferShare } from './buffers.ts'

/**
 * What one writer has on its way to disk: its buffers, how many are being written, and the first thing that went wrong.
 * A writer that nobody has given a byte yet has no buffer, and no claim to any.
 */
export class UnderWay {
  readonly #pool: BufferPool
  readonly #own: number
  #share: BufferShare | undefined
  #buffer: Buffer | undefined
  #busy = 0
  #failure: { readonly error: unknown } | undefined
  #wake: (() => void)[] = []

  /** `own`: buffers that the writer may have at once, whatever others have. */
  constructor(pool: BufferPool, own: number) {
    this.#pool = pool
    this.#own = own
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** The buffer that is being filled, if any was handed out. */
  get filling(): Buffer | undefined {
    return this.#buffer
  }

  /** The buffer to be filled. */
  buffer(): Buffer {
    this.#share ??= this.#pool.join(this.#own)
    this.#buffer ??= this.#share.take()
    return this.#buffer
  }

  /** The buffer is full and its bytes are not needed. */
  giveBack(): void {
    if (this.#buffer !== undefined) this.#share?.give(this.#buffer)
    this.#buffer = undefined
  }

  /** The buffer is full and being written: nobody touches it until `written` has settled. */
  send(written: Promise<void>): void {
    const buffer = this.#buffer
    this.#buffer = undefined
    this.#busy++
    const over = (): void => {
      this.#busy--
      if (buffer !== undefined) this.#share?.give(buffer)
      this.stir()
    }
    written.then(over, (error: unknown) => {
      this.fail(error)
      over()
    })
  }

  /** May the giver go on? */
  calm(maxBusy: number): boolean {
    return (this.#share?.allow(this.#busy) ?? true) && this.#busy < maxBusy
  }

  /** Resolves with the next thing that ends or fails. */
  change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  stir(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }

  /** Remembers the first failure; returns what it was given, to be thrown. */
  fail(error: unknown): unknown {
    this.#failure ??= { error }
    this.stir()
    return error
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Waits for the writes, and gives everything up. */
  async close(): Promise<void> {
    while (this.#busy > 0) await this.change()
    // Its giver may still have it in hand.
    if (this.#buffer !== undefined) this.#share?.abandon()
    this.#buffer = undefined
    this.#share?.leave()
    this.#share = undefined
  }
}
