import { abortFailure } from '../abort.ts'

/** Bounds how many connections go to one origin at a time; who comes too many waits for a turn, first come first served. */
export class ConnectionSlots {
  readonly #most: number
  readonly #taken = new Map<string, number>()
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor(most: number) {
    this.#most = most
  }

  /** Resolves to the way of giving the slot back, which may be called more than once. */
  async take(origin: string, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw abortFailure(signal)
    const taken = this.#taken.get(origin) ?? 0
    if (taken < this.#most) this.#taken.set(origin, taken + 1)
    else await this.#turn(origin, signal)
    let given = false
    return () => {
      if (!given) this.#release(origin)
      given = true
    }
  }

  #turn(origin: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(origin) ?? []
      const onTurn = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        queue.splice(queue.indexOf(onTurn), 1)
        reject(abortFailure(signal))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      queue.push(onTurn)
      this.#waiting.set(origin, queue)
    })
  }

  /** Hands the slot to who waits longest; without anybody, forgets it. */
  #release(origin: string): void {
    const next = this.#waiting.get(origin)?.shift()
    if (next !== undefined) return next()
    this.#waiting.delete(origin)
    const taken = (this.#taken.get(origin) ?? 1) - 1
    if (taken > 0) this.#taken.set(origin, taken)
    else this.#taken.delete(origin)
  }
}
