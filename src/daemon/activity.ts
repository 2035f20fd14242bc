/** Knows whether anybody is being served, and since when nobody is. */
export class Activity {
  #running = 0
  #since: number
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
    this.#since = now()
  }

  /** Milliseconds without work; 0 while there is some. */
  idleMs(): number {
    return this.#running > 0 ? 0 : this.#now() - this.#since
  }

  /** Something short was done just now. */
  touch(): void {
    this.#since = this.#now()
  }

  begin(): Disposable {
    this.#running++
    return {
      [Symbol.dispose]: () => {
        this.#running--
        this.#since = this.#now()
      },
    }
  }

  /** The same stream, as work. */
  async *during<T>(stream: AsyncIterable<T>): AsyncGenerator<T> {
    using _work = this.begin()
    yield* stream
  }
}
