import { paceMs } from '#daemon'
import type { Holdings } from './holdings.ts'

/**
 * What a parent tells one child of what it got from peers, and when. Nothing happens for each piece of news: they are
 * reckoned from the parent's log when the child looks at them.
 */
export class Telling {
  readonly #holdings: Holdings
  readonly #startMs: number
  readonly #latencyMs: number
  #read = 0
  #lastTakeMs: number
  /** When the parent next looks at what there is to tell; infinite: when it has more. */
  #takeMs: number

  /** `startMs`: when the child's question reaches the parent. */
  constructor(holdings: Holdings, startMs: number, latencyMs: number) {
    this.#holdings = holdings
    this.#startMs = startMs
    this.#latencyMs = latencyMs
    this.#lastTakeMs = startMs
    this.#takeMs = startMs
  }

  /** When the next news reaches the child; infinite while the parent has none. */
  dueAtMs(): number {
    if (this.#takeMs === Number.POSITIVE_INFINITY && this.#read < this.#holdings.logCount)
      this.#takeMs = this.#nextTake()
    return this.#takeMs + this.#latencyMs
  }

  /** Everything the parent got from peers was told. */
  get toldAll(): boolean {
    return this.#read === this.#holdings.logCount && this.#takeMs === Number.POSITIVE_INFINITY
  }

  /** The units of which the news has come by now; undefined: none. */
  read(nowMs: number): Int32Array | undefined {
    const { log, logAtMs } = this.#holdings
    const from = this.#read
    while (this.dueAtMs() <= nowMs) {
      this.#lastTakeMs = this.#takeMs
      this.#takeMs = Number.POSITIVE_INFINITY
      while (this.#read < this.#holdings.logCount && (logAtMs[this.#read] as number) <= this.#lastTakeMs) this.#read++
    }
    return this.#read === from ? undefined : log.subarray(from, this.#read)
  }

  /** A whole piece is told at once, blocks wait for more of them. */
  #nextTake(): number {
    const { logAtMs, logWhole, shape, firsthand } = this.#holdings
    const newsMs = Math.max(logAtMs[this.#read] as number, this.#lastTakeMs)
    if (logWhole[this.#read] === 1) return newsMs
    const held = { contentLength: shape.bytes, heldBytes: Math.min(shape.bytes, (this.#read + 1) * shape.unitLength) }
    return newsMs + paceMs(held, newsMs - this.#startMs, firsthand.children)
  }
}
