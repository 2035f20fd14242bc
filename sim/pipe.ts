/** One direction of a talk: what goes in comes out in order, for one reader. The delay is the caller's. */
export class Pipe<T> {
  readonly #items: T[] = []
  #end: { readonly error: unknown } | 'well' | undefined
  #wake: () => void = () => undefined

  put(item: T): void {
    if (this.#end !== undefined) return
    this.#items.push(item)
    this.#wake()
  }

  end(): void {
    this.#end ??= 'well'
    this.#wake()
  }

  fail(error: unknown): void {
    this.#end ??= { error }
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined, undefined> {
    for (;;) {
      for (let item = this.#items.shift(); item !== undefined; item = this.#items.shift()) yield item
      if (this.#end === 'well') return undefined
      if (this.#end !== undefined) throw this.#end.error
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
