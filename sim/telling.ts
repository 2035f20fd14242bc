import type { Holdings } from './holdings.ts'

/** What follows restates src/daemon/sync-pieces.ts: when a parent tells of blocks. */
const PACE_MS = { least: 5, most: 200 }
const FULL_PACE_AFTER_MS = 2000
const LAST_PART = 1 / 16

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

  /** Calls `has` for each unit of which the news has come by now. */
  read(nowMs: number, has: (unit: number) => void): void {
    const { log, logAtMs } = this.#holdings
    while (this.dueAtMs() <= nowMs) {
      this.#lastTakeMs = this.#takeMs
      this.#takeMs = Number.POSITIVE_INFINITY
      while (this.#read < this.#holdings.logCount && (logAtMs[this.#read] as number) <= this.#lastTakeMs) {
        const unit = log[this.#read++] as number
        has(unit < 0 ? ~unit : unit)
      }
    }
  }

  /** A whole piece is told at once, blocks wait for more of them. */
  #nextTake(): number {
    const { log, logAtMs, shape, unitCount } = this.#holdings
    const newsMs = Math.max(logAtMs[this.#read] as number, this.#lastTakeMs)
    if ((log[this.#read] as number) < 0) return newsMs
    const missing = unitCount - this.#read - 1
    if (missing * shape.unitLength < shape.bytes * LAST_PART) return newsMs + PACE_MS.least
    const since = newsMs - this.#startMs
    return newsMs + Math.min(PACE_MS.least + (since / FULL_PACE_AFTER_MS) * PACE_MS.most, PACE_MS.most)
  }
}
