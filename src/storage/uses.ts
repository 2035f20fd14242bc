import { utimes } from 'node:fs/promises'

/** How much of a task's last use may be forgotten when the process is killed. */
const TOUCH_MS = 60_000

/** Who uses a task right now, and when it was used last. */
export class Uses {
  readonly #journalPath: string
  #count = 0
  #lastMs: number
  #savedMs: number
  #over = false
  #whenNone: (() => void) | undefined

  constructor(journalPath: string, lastMs: number) {
    this.#journalPath = journalPath
    this.#lastMs = lastMs
    this.#savedMs = lastMs
  }

  get any(): boolean {
    return this.#count > 0
  }

  /** Milliseconds since 1970. */
  get lastMs(): number {
    return this.#lastMs
  }

  begin(): Disposable {
    this.#count++
    this.#touch()
    let used = true
    return {
      [Symbol.dispose]: () => {
        if (!used) return
        used = false
        this.#touch()
        if (--this.#count === 0) this.#whenNone?.()
      },
    }
  }

  /** Resolves once nobody uses it; nothing is saved any more, for the journal is going to be removed. */
  async end(): Promise<void> {
    this.#over = true
    if (this.#count > 0) await new Promise<void>((resolve) => (this.#whenNone = resolve))
  }

  /** The journal's file time tells the next process when the task was used. */
  async save(): Promise<void> {
    if (this.#lastMs === this.#savedMs || this.#over) return
    this.#savedMs = this.#lastMs
    const seconds = this.#lastMs / 1000
    await utimes(this.#journalPath, seconds, seconds).catch(() => undefined) // only the order of eviction suffers
  }

  #touch(): void {
    this.#lastMs = Date.now()
    if (this.#lastMs - this.#savedMs > TOUCH_MS) void this.save()
  }
}
