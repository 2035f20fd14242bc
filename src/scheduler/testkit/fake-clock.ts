import type { Clock } from '../clock.ts'

interface Sleeper {
  readonly atMs: number
  wake(): void
}

/** Time that passes only when told to. */
export class FakeClock implements Clock {
  #nowMs = 1_000_000
  readonly #sleepers = new Set<Sleeper>()

  get sleeping(): number {
    return this.#sleepers.size
  }

  now(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { atMs: this.#nowMs + ms, wake: resolve }
      this.#sleepers.add(sleeper)
      const stop = (): void => {
        this.#sleepers.delete(sleeper)
        reject(new Error('the sleep was interrupted'))
      }
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
  }

  /** Lets `ms` pass, waking sleepers in their order; everything they set off runs before this resolves. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    await settled()
    for (;;) {
      const [next] = [...this.#sleepers].filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)
      if (next === undefined) break
      this.#sleepers.delete(next)
      this.#nowMs = next.atMs
      next.wake()
      await settled()
    }
    this.#nowMs = untilMs
    await settled()
  }
}

/** Everything that only waits for other promises has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
