import { setTimeout as sleep } from 'node:timers/promises'
import type { ByteSink } from '#core'

/** Bytes per second, given out fairly: who asks first is served first. A rate of 0 is no limit. */
export class TokenBucket {
  #rate: number
  #owedUntilMs = 0
  readonly #now: () => number

  constructor(bytesPerSecond: number, now: () => number = performance.now.bind(performance)) {
    this.#rate = bytesPerSecond
    this.#now = now
  }

  get unlimited(): boolean {
    return this.#rate === 0
  }

  setRate(bytesPerSecond: number): void {
    this.#rate = bytesPerSecond
  }

  /**
   * Books `bytes` and says how many milliseconds to wait before using more. Any number can be booked at once, so that a
   * limit below the length of a piece slows a download down and never fails it. Idle time saves up a tenth of a second.
   */
  book(bytes: number): number {
    if (this.#rate === 0) return 0
    const now = this.#now()
    const start = Math.max(this.#owedUntilMs, now - 100)
    this.#owedUntilMs = start + (bytes / this.#rate) * 1000
    return Math.max(0, this.#owedUntilMs - now)
  }

  async take(bytes: number, signal?: AbortSignal): Promise<void> {
    const waitMs = this.book(bytes)
    if (waitMs > 0) await sleep(waitMs, undefined, signal ? { signal } : {})
  }
}

/** The same sink at the pace of all these buckets. */
export function withLimit(sink: ByteSink, buckets: readonly TokenBucket[], signal: AbortSignal): ByteSink {
  const limits = buckets.filter((bucket) => !bucket.unlimited)
  if (limits.length === 0) return sink
  let waitMs = 0
  return {
    space: () => sink.space(),
    get full() {
      return sink.full
    },
    filled(length) {
      waitMs = Math.max(...limits.map((bucket) => bucket.book(length)))
      const ready = sink.filled(length)
      return ready && waitMs < 1
    },
    async drained() {
      const pause = waitMs
      waitMs = 0
      if (pause >= 1) await sleep(pause, undefined, { signal })
      await sink.drained()
    },
  }
}
