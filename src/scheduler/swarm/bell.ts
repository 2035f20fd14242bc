/** Wakes everybody who waits for news of a task. Several rings before the waiters ran are one. */
export class Bell {
  readonly #waiting = new Set<() => void>()
  #ringing = false

  get waiting(): number {
    return this.#waiting.size
  }

  ring(): void {
    if (this.#ringing || this.#waiting.size === 0) return
    this.#ringing = true
    queueMicrotask(() => {
      this.#ringing = false
      for (const wake of this.#waiting) wake()
    })
  }

  /** Calls `wake` at each ring until the answer is called. */
  onRing(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }
}
