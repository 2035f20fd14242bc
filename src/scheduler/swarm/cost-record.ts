/** Up to this many samples the mean decides, later the spread does (wire.md §6.4). */
const FEW_SAMPLES = 2000
const TIMES_SLOWER = 20
const SIGMAS = 3
/** A piece that came within this time is never called slow: on a fast link 20 times nothing is still nothing. */
const NEVER_SLOW_MS = 1000

/** How long a peer's pieces took, in constant memory: count, mean and spread of all but the last, and the last. */
export class CostRecord {
  #earlier = 0
  #mean = 0
  #squares = 0
  #lastMs: number | undefined

  get count(): number {
    return this.#earlier + (this.#lastMs === undefined ? 0 : 1)
  }

  /** Of all pieces, the last one too. */
  get meanMs(): number | undefined {
    if (this.#lastMs === undefined) return undefined
    return (this.#mean * this.#earlier + this.#lastMs) / this.count
  }

  get lastMs(): number | undefined {
    return this.#lastMs
  }

  add(costMs: number): void {
    if (!Number.isFinite(costMs) || costMs < 0) return
    if (this.#lastMs !== undefined) {
      this.#earlier++
      const distance = this.#lastMs - this.#mean
      this.#mean += distance / this.#earlier
      this.#squares += distance * (this.#lastMs - this.#mean)
    }
    this.#lastMs = costMs
  }

  /** Whether the last piece took far longer than those before it. */
  get slow(): boolean {
    if (this.#lastMs === undefined || this.#earlier === 0 || this.#lastMs <= NEVER_SLOW_MS) return false
    if (this.count < FEW_SAMPLES) return this.#lastMs > TIMES_SLOWER * this.#mean
    return this.#lastMs > this.#mean + SIGMAS * Math.sqrt(this.#squares / this.#earlier)
  }
}
