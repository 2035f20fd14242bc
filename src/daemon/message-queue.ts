/** Hands values from who makes them to who takes them, in order. Who makes too many waits. */
export class MessageQueue<T> implements AsyncIterable<T> {
  readonly #capacity: number
  readonly #values: T[] = []
  #ended: { error: unknown } | 'well' | undefined
  #changed: () => void = () => undefined
  #change: Promise<void> = Promise.resolve()

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#renew()
  }

  /** Adds a value without waiting: for what is bounded elsewhere. */
  add(value: T): void {
    if (this.#ended === undefined) this.#values.push(value)
    this.#signal()
  }

  /** Adds a value once there is room for it; gives up when the taker has left. */
  async put(value: T): Promise<void> {
    while (this.#values.length >= this.#capacity && this.#ended === undefined) await this.#change
    this.add(value)
  }

  end(): void {
    this.#ended ??= 'well'
    this.#signal()
  }

  fail(error: unknown): void {
    this.#ended ??= { error }
    this.#signal()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        for (let value = this.#values.shift(); value !== undefined; value = this.#values.shift()) {
          this.#signal()
          yield value
        }
        if (this.#ended === 'well') return
        if (this.#ended !== undefined) throw this.#ended.error
        await this.#change
      }
    } finally {
      this.end()
    }
  }

  #signal(): void {
    this.#changed()
    this.#renew()
  }

  #renew(): void {
    this.#change = new Promise((resolve) => {
      this.#changed = resolve
    })
  }
}
