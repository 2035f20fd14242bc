interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void
  reject(error: unknown): void
}

/**
 * Hands on what is put into it, in order, to one reader that asks for one thing at a time. Only for few and small things:
 * it takes any number. There is one for every peer, so it is no generator: those take a kibibyte each.
 */
export class Outbox<T> implements AsyncIterableIterator<T, undefined> {
  readonly #items: T[] = []
  readonly #over: () => void
  #end: { readonly error: unknown } | 'well' | undefined
  #reader: Reader<T> | undefined

  /** `over` is called when the reader comes to the end, or to an error, or stops before. Perhaps more than once. */
  constructor(over: () => void = () => undefined) {
    this.#over = over
  }

  /** How much waits for the reader. */
  get size(): number {
    return this.#items.length
  }

  put(item: T): void {
    if (this.#end !== undefined) return
    const reader = this.#takeReader()
    if (reader === undefined) this.#items.push(item)
    else reader.resolve({ done: false, value: item })
  }

  /** What was put before is still given. */
  end(): void {
    this.#endWith('well')
  }

  fail(error: unknown): void {
    this.#endWith({ error })
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#items.shift()
    if (item !== undefined) return Promise.resolve({ done: false, value: item })
    return new Promise((resolve, reject) => {
      const reader = { resolve, reject }
      if (this.#end === undefined) this.#reader = reader
      else this.#tell(reader, this.#end)
    })
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#items.length = 0
    this.end()
    this.#over()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #endWith(end: { readonly error: unknown } | 'well'): void {
    if (this.#end !== undefined) return
    this.#end = end
    const reader = this.#takeReader()
    if (reader !== undefined) this.#tell(reader, end)
  }

  #tell(reader: Reader<T>, end: { readonly error: unknown } | 'well'): void {
    this.#end = 'well' // an error is told once
    this.#over()
    if (end === 'well') reader.resolve({ done: true, value: undefined })
    else reader.reject(end.error)
  }

  #takeReader(): Reader<T> | undefined {
    const reader = this.#reader
    this.#reader = undefined
    return reader
  }
}
