/** With more waiters than this, news waits a moment for more news: each look at the swarm costs all of them. */
const FEW = 256
const MOMENT_MS = 10

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
    if (this.#waiting.size <= FEW) queueMicrotask(() => this.#wakeAll())
    else setTimeout(() => this.#wakeAll(), MOMENT_MS).unref()
  }

  /** Calls `wake` at each ring until the answer is called. */
  onRing(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }

  #wakeAll(): void {
    this.#ringing = false
    for (const wake of this.#waiting) wake()
  }
}
