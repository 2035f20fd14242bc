/** Something that is to happen at a time. */
export interface Happening {
  fire(): void
}

/** What was set going with `Clock.timer`. */
export interface Timer {
  cancel(): void
}

const setRealImmediate = setImmediate

/**
 * Virtual time: jumps from one happening to the next, in their order; those of one moment in the order they were asked
 * for. Promises that a happening may have resolved are waited for where it says so (`stir`), so that real asynchronous
 * code runs at its virtual moment, and every run of one seed is the same.
 */
export class Clock {
  #nowMs = 0
  #asked = 0
  #stirred = false
  readonly #queue = new Queue()

  /** Milliseconds since the simulation began. */
  now(): number {
    return this.#nowMs
  }

  at(atMs: number, happening: Happening): void {
    this.#queue.add(Math.max(atMs, this.#nowMs), this.#asked++, happening)
  }

  /** Runs real code, which may resolve promises. */
  timer(ms: number, run: () => void): Timer {
    let pending = true
    this.at(this.#nowMs + ms, {
      fire: () => {
        if (!pending) return
        pending = false
        this.stir()
        run()
      },
    })
    return {
      cancel() {
        pending = false
      },
    }
  }

  /** Rejects when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        timer.cancel()
        this.stir()
        reject(new Error('the sleep was interrupted'))
      }
      const timer = this.timer(ms, () => {
        signal?.removeEventListener('abort', stop)
        resolve()
      })
      if (signal?.aborted) stop()
      else signal?.addEventListener('abort', stop, { once: true })
    })
  }

  /** Promises may have been resolved in this moment: what waits for them runs before the next happening. */
  stir(): void {
    this.#stirred = true
  }

  /** Lets time pass until it is over, nothing more is to happen, or the time is up. */
  async run(isOver: () => boolean, untilMs: number): Promise<void> {
    await settled()
    while (!isOver()) {
      const next = this.#queue.take()
      if (next === undefined || this.#queue.takenAtMs > untilMs) return
      this.#nowMs = this.#queue.takenAtMs
      next.fire()
      if (!this.#stirred) continue
      this.#stirred = false
      await settled()
    }
  }
}

/** Everything that only waits for other promises has run. */
function settled(): Promise<void> {
  return new Promise((resolve) => setRealImmediate(resolve))
}

/** A binary heap by time, then by order; in arrays of numbers, since tens of millions of blocks pass through it. */
class Queue {
  takenAtMs = 0
  readonly #times: number[] = []
  readonly #orders: number[] = []
  readonly #happenings: Happening[] = []

  add(atMs: number, order: number, happening: Happening): void {
    this.#times.push(atMs)
    this.#orders.push(order)
    this.#happenings.push(happening)
    this.#rise(this.#times.length - 1, atMs, order, happening)
  }

  take(): Happening | undefined {
    const first = this.#happenings[0]
    const time = this.#times.pop()
    const order = this.#orders.pop()
    const last = this.#happenings.pop()
    if (first === undefined || time === undefined || order === undefined || last === undefined) return undefined
    this.takenAtMs = this.#times.length === 0 ? time : (this.#times[0] as number)
    if (this.#times.length > 0) this.#sink(time, order, last)
    return first
  }

  #rise(from: number, time: number, order: number, happening: Happening): void {
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const aboveTime = this.#times[above] as number
      if (aboveTime < time || (aboveTime === time && (this.#orders[above] as number) < order)) break
      this.#move(above, index)
      index = above
    }
    this.#put(index, time, order, happening)
  }

  #sink(time: number, order: number, happening: Happening): void {
    const { length } = this.#times
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      if (below >= length) break
      if (below + 1 < length && this.#isBefore(below + 1, below)) below++
      const belowTime = this.#times[below] as number
      if (time < belowTime || (time === belowTime && order < (this.#orders[below] as number))) break
      this.#move(below, index)
      index = below
    }
    this.#put(index, time, order, happening)
  }

  #isBefore(a: number, b: number): boolean {
    const aTime = this.#times[a] as number
    const bTime = this.#times[b] as number
    return aTime < bTime || (aTime === bTime && (this.#orders[a] as number) < (this.#orders[b] as number))
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from] as number, this.#orders[from] as number, this.#happenings[from] as Happening)
  }

  #put(index: number, time: number, order: number, happening: Happening): void {
    this.#times[index] = time
    this.#orders[index] = order
    this.#happenings[index] = happening
  }
}
