import { type ByteSink, fill } from '#core'

const EARLY_BYTES = 64 * 1024

/**
 * A sink for bytes whose place is found only later: it takes one read, asks its giver to wait, and goes on into the
 * sink that it gets. Call `flush` when the giver is done.
 */
export class LateSink implements ByteSink {
  #sink: ByteSink | undefined
  #attached: (() => void) | undefined
  /** Memory of ours that was handed out last; undefined: it was the sink's. */
  #lent: Uint8Array | undefined
  /** What came before there was a place for it. */
  #kept: Uint8Array[] = []
  #flushing: Promise<void> | undefined

  /** Gives it the place where everything belongs. */
  attach(sink: ByteSink): void {
    this.#sink = sink
    this.#attached?.()
  }

  space(): Uint8Array {
    // What was handed out stays where the next bytes stand, also when the sink has come meanwhile.
    if (this.#lent === undefined && this.#sink !== undefined && this.#kept.length === 0) return this.#sink.space()
    this.#lent ??= new Uint8Array(EARLY_BYTES)
    return this.#lent
  }

  filled(length: number): boolean {
    const lent = this.#lent
    if (lent === undefined) return this.#sink?.filled(length) ?? false
    this.#lent = undefined
    if (length > 0) this.#kept.push(lent.subarray(0, length))
    return false
  }

  async drained(): Promise<void> {
    if (this.#sink === undefined) await new Promise<void>((resolve) => (this.#attached = resolve))
    if (this.#kept.length > 0) await this.flush()
    else await this.#sink?.drained()
  }

  /** Resolves once the sink has all that came. */
  flush(): Promise<void> {
    this.#flushing ??= this.#giveOn().finally(() => (this.#flushing = undefined))
    return this.#flushing
  }

  get full(): boolean {
    return this.#kept.length === 0 && (this.#sink?.full ?? false)
  }

  async #giveOn(): Promise<void> {
    for (let next = this.#kept[0]; next !== undefined && this.#sink !== undefined; next = this.#kept[0]) {
      await fill(this.#sink, next)
      this.#kept.shift()
    }
  }
}
