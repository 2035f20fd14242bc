/** What is seen of a run of bytes that one or more connections read. */
export interface Glance {
  readonly nowMs: number
  /** Bytes that came so far, over all connections. */
  readonly bytes: number
  /** Bytes that nobody has been asked for. */
  readonly leftBytes: number
}

const MiB = 2 ** 20
/** Another connection costs its way to speed. */
const LEAST_LEFT_BYTES = 64 * MiB
const LEAST_LEFT_MS = 10_000
/** Who gives so much to one connection does not hold connections back. */
const FAST_BYTES_PER_MS = (256 * MiB) / 1000
const WARM_UP_MS = 500
const WINDOW_MS = 1000
const LEAST_GAIN = 1.2
/** How long one request should keep a connection busy: so long it takes until there is one less. */
const STRETCH_MS = 5000
const LEAST_STRETCH_BYTES = 4 * MiB
/** At the end of the run one connection may be so much longer busy than the others. */
const TAIL_MS = 1000
/** Longer than most round trips: the time in which the next request of a connection comes up to speed. */
const AHEAD_MS = 200
const LEAST_AHEAD_BYTES = MiB

/**
 * Decides how many connections read an origin, and how much each is asked for at a time. It starts with one. Where that
 * would take long, another one is tried, and stays only if all together become faster by a fifth: some origins hold back
 * each connection, others all of them. No connection is stopped in the middle of what it was asked for: one that is too
 * many is asked for nothing more.
 */
export class MoreConnections {
  readonly #most: number
  #connections = 1
  #overlaps = true
  /** Bytes per millisecond before the last one was added. */
  #rateBefore: number | undefined
  #settled = false
  /** Where it began, or went on behind pieces that were here. */
  #begin: Glance | undefined
  /** Since when connections are as many as now. */
  #changedMs = 0
  #windowStart: Glance | undefined

  constructor(most: number) {
    this.#most = most
    this.#settled = most === 1
  }

  /** As many as there should be now. */
  get connections(): number {
    return this.#connections
  }

  /** The first bytes are about to come; `bytes` are counted from here. */
  begin(glance: Glance): void {
    this.#begin = glance
    this.#changedMs = glance.nowMs
    this.#windowStart = undefined
    this.#rateBefore = undefined
  }

  /** To be called a few times a second; `connections` may be another number then. */
  look(glance: Glance): void {
    const { nowMs, bytes, leftBytes } = glance
    if (this.#settled || leftBytes <= 0 || nowMs - this.#changedMs < WARM_UP_MS) return
    this.#windowStart ??= glance
    const ms = nowMs - this.#windowStart.nowMs
    if (ms < WINDOW_MS) return
    const rate = (bytes - this.#windowStart.bytes) / ms
    this.#windowStart = undefined
    if (this.#rateBefore !== undefined && rate < LEAST_GAIN * this.#rateBefore) return this.#drop()
    this.#rateBefore = undefined
    if (this.#isWorthAnother(rate, leftBytes)) this.#add(rate, nowMs)
  }

  /** The origin wants less of us: one less, and never more again, not even for a moment. */
  refused(): void {
    this.#overlaps = false
    this.#drop()
  }

  /** What the next request should ask for; all that is left, where it makes no difference. */
  stretchBytes(glance: Glance): number {
    const { leftBytes } = glance
    if (this.#connections === 1 && this.#settled) return leftBytes
    const rate = this.#rateOfOne(glance)
    const wanted = Math.max(rate * STRETCH_MS, LEAST_STRETCH_BYTES)
    if (this.#connections === 1) return wanted < leftBytes / 2 ? wanted : leftBytes
    // Less and less, so that all are done at about the same time.
    return Math.min(wanted, Math.max(leftBytes / (2 * this.#connections), rate * TAIL_MS))
  }

  /** A connection that has so much left may be followed by the next one, so that no round trip shows. 0: it may not. */
  aheadBytes(glance: Glance): number {
    const mayOverlap = this.#overlaps && this.#connections < this.#most
    return mayOverlap ? Math.max(this.#rateOfOne(glance) * AHEAD_MS, LEAST_AHEAD_BYTES) : 0
  }

  /** Bytes per millisecond. */
  #rateOfOne({ nowMs, bytes }: Glance): number {
    const { nowMs: since, bytes: before } = this.#begin ?? { nowMs, bytes }
    return (bytes - before) / Math.max(nowMs - since, 1) / this.#connections
  }

  #isWorthAnother(rate: number, leftBytes: number): boolean {
    if (this.#connections >= this.#most || rate <= 0 || rate > FAST_BYTES_PER_MS) return false
    return leftBytes >= LEAST_LEFT_BYTES && leftBytes / rate >= LEAST_LEFT_MS
  }

  #add(rate: number, nowMs: number): void {
    this.#connections++
    this.#rateBefore = rate
    this.#changedMs = nowMs
  }

  #drop(): void {
    this.#settled = true
    this.#connections = Math.max(this.#connections - 1, 1)
  }
}
