/** What is seen of a run of bytes that one or more connections read. */
export interface Glance {
  readonly nowMs: number
  /** Bytes that came so far, over all connections. */
  readonly bytes: number
  /** Bytes that nobody has begun to read. */
  readonly leftBytes: number
}

const MiB = 2 ** 20
/** Another connection costs its way to speed, and the first one a stop before its end. */
const LEAST_LEFT_BYTES = 64 * MiB
const LEAST_LEFT_MS = 10_000
/** Who gives so much to one connection does not hold connections back. */
const FAST_BYTES_PER_MS = (256 * MiB) / 1000
const WARM_UP_MS = 500
const WINDOW_MS = 1000
const LEAST_GAIN = 1.2

/**
 * Decides how many connections read an origin. It starts with one. Where that would take long, another one is tried,
 * and stays only if all together become faster by a fifth: some origins hold back each connection, others all of them.
 */
export class MoreConnections {
  readonly #most: number
  #connections = 1
  /** Bytes per millisecond before the last one was added. */
  #rateBefore: number | undefined
  #settled = false
  /** Since when connections are as many as now. */
  #changedMs: number | undefined
  #windowStart: Glance | undefined

  constructor(most: number) {
    this.#most = most
  }

  /** To be called a few times a second. `drop`: the connection that was added last is one too many. */
  look(glance: Glance): 'add' | 'drop' | 'stay' {
    const { nowMs, bytes } = glance
    this.#changedMs ??= nowMs
    if (this.#settled || nowMs - this.#changedMs < WARM_UP_MS) return 'stay'
    this.#windowStart ??= glance
    const ms = nowMs - this.#windowStart.nowMs
    if (ms < WINDOW_MS) return 'stay'
    const rate = (bytes - this.#windowStart.bytes) / ms
    this.#windowStart = undefined
    if (this.#rateBefore !== undefined && rate < LEAST_GAIN * this.#rateBefore) return this.#drop()
    this.#rateBefore = undefined
    return this.#isWorthAnother(rate, glance.leftBytes) ? this.#add(rate, nowMs) : 'stay'
  }

  #isWorthAnother(rate: number, leftBytes: number): boolean {
    if (this.#connections >= this.#most || rate <= 0 || rate > FAST_BYTES_PER_MS) return false
    return leftBytes >= LEAST_LEFT_BYTES && leftBytes / rate >= LEAST_LEFT_MS
  }

  #add(rate: number, nowMs: number): 'add' {
    this.#connections++
    this.#rateBefore = rate
    this.#changedMs = nowMs
    return 'add'
  }

  #drop(): 'drop' {
    this.#settled = true
    this.#connections--
    return 'drop'
  }
}
