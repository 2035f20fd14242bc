import { messageOf } from '#core'

/** Those who want to hear of something. What one of them throws is warned of, and harms nobody else. */
export class Listeners<T> {
  readonly #listeners = new Set<(news: T) => void>()
  readonly #warn: (message: string) => void

  constructor(warn: (message: string) => void) {
    this.#warn = warn
  }

  /** Returns the way to stop. The same function may listen twice. */
  add(listener: (news: T) => void): () => void {
    const own = (news: T): void => listener(news)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  /** `what`: for the warning. */
  tell(news: T, what: () => string): void {
    for (const listener of this.#listeners) {
      try {
        listener(news)
      } catch (error) {
        this.#warn(`a listener failed on ${what()}: ${messageOf(error)}`)
      }
    }
  }
}
