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

/** Children of each place in the heap. */
const ARITY = 4
const FIRST_SIZE = 1024

/**
 * A heap by time, then by order. Only numbers move within it: tens of millions of blocks pass through, and moving
 * references would be told to the garbage collector each time.
 */
class Queue {
  takenAtMs = 0
  #size = 0
  #times = new Float64Array(FIRST_SIZE)
  #orders = new Float64Array(FIRST_SIZE)
  /** Which of the happenings it is. */
  #slots = new Int32Array(FIRST_SIZE)
  readonly #happenings: (Happening | undefined)[] = []
  readonly #freeSlots: number[] = []

  add(atMs: number, order: number, happening: Happening): void {
    if (this.#size === this.#times.length) this.#grow()
    const slot = this.#freeSlots.pop() ?? this.#happenings.length
    this.#happenings[slot] = happening
    this.#rise(this.#size++, atMs, order, slot)
  }

  take(): Happening | undefined {
    if (this.#size === 0) return undefined
    const slot = this.#slots[0] as number
    const happening = this.#happenings[slot]
    this.#happenings[slot] = undefined
    this.#freeSlots.push(slot)
    this.takenAtMs = this.#times[0] as number
    const last = --this.#size
    if (last > 0) this.#sink(this.#times[last] as number, this.#orders[last] as number, this.#slots[last] as number)
    return happening
  }

  #rise(from: number, time: number, order: number, slot: number): void {
    let index = from
    while (index > 0) {
      const above = Math.floor((index - 1) / ARITY)
      const aboveTime = this.#times[above] as number
      if (aboveTime < time || (aboveTime === time && (this.#orders[above] as number) < order)) break
      this.#move(above, index)
      index = above
    }
    this.#put(index, time, order, slot)
  }

  #sink(time: number, order: number, slot: number): void {
    let index = 0
    for (;;) {
      const below = this.#firstBelow(index)
      if (below < 0) break
      const belowTime = this.#times[below] as number
      if (time < belowTime || (time === belowTime && order < (this.#orders[below] as number))) break
      this.#move(below, index)
      index = below
    }
    this.#put(index, time, order, slot)
  }

  /** Which of those below a place comes first; negative: there is none. */
  #firstBelow(index: number): number {
    const from = index * ARITY + 1
    const end = Math.min(from + ARITY, this.#size)
    if (from >= end) return -1
    let first = from
    for (let other = from + 1; other < end; other++) {
      const [time, firstTime] = [this.#times[other] as number, this.#times[first] as number]
      if (time > firstTime) continue
      if (time < firstTime || (this.#orders[other] as number) < (this.#orders[first] as number)) first = other
    }
    return first
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from] as number, this.#orders[from] as number, this.#slots[from] as number)
  }

  #put(index: number, time: number, order: number, slot: number): void {
    this.#times[index] = time
    this.#orders[index] = order
    this.#slots[index] = slot
  }

  #grow(): void {
    const length = this.#times.length * 2
    this.#times = copied(this.#times, new Float64Array(length))
    this.#orders = copied(this.#orders, new Float64Array(length))
    this.#slots = copied(this.#slots, new Int32Array(length))
  }
}

function copied<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
