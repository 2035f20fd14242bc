/** Hands on what is put into it, in order, to one reader. Only for few and small things: it takes any number. */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #items: T[] = []
  #end: { readonly error: unknown } | 'well' | undefined
  #wake: () => void = () => undefined

  /** How much waits for the reader. */
  get size(): number {
    return this.#items.length
  }

  put(item: T): void {
    if (this.#end !== undefined) return
    this.#items.push(item)
    this.#wake()
  }

  /** What was put before is still given. */
  end(): void {
    this.#end ??= 'well'
    this.#wake()
  }

  fail(error: unknown): void {
    this.#end ??= { error }
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) yield item
      else if (this.#end === 'well') return
      else if (this.#end !== undefined) throw this.#end.error
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
  }
}
