import { BLOCK_LENGTH } from '#core'

/** One buffer that is written to disk, one that is filled, one for what a paused giver may still bring. */
export const OWN_BUFFERS = 3
/** Free buffers kept for the next download when no one is writing. */
const KEPT_IDLE = 8

/**
 * Block buffers shared by all writers. Each writer may always have some of its own, more only while all together stay
 * below the pool's bound: nobody waits for another writer, and memory ends at the bound plus what is the writers' own.
 */
export class BufferPool {
  readonly #capacity: number
  readonly #free: Buffer[] = []
  #members = 0
  #owned = 0
  #extras = 0

  constructor(capacityBytes: number) {
    this.#capacity = Math.floor(capacityBytes / BLOCK_LENGTH)
  }

  /** `own`: how many the writer may always have. A writer of fewer blocks than OWN_BUFFERS needs no more than it writes. */
  join(own = OWN_BUFFERS): BufferShare {
    this.#members++
    this.#owned += own
    return new BufferShare(this, own)
  }

  /** For BufferShare alone, as are the others below. */
  leave(own: number): void {
    this.#members--
    this.#owned -= own
    if (this.#members === 0) this.#free.splice(KEPT_IDLE)
  }

  /** Reserves one buffer above a writer's own, if the bound allows it. */
  reserve(): boolean {
    if (this.#extras + this.#owned >= this.#capacity) return false
    this.#extras++
    return true
  }

  unreserve(count: number): void {
    this.#extras -= count
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_LENGTH)
  }

  give(buffer: Buffer): void {
    if (this.#free.length < (this.#members > 0 ? this.#capacity : KEPT_IDLE)) this.#free.push(buffer)
  }
}

/** One writer's part of the pool. */
export class BufferShare {
  readonly #pool: BufferPool
  readonly #own: number
  #taken = 0
  #extras = 0

  constructor(pool: BufferPool, own: number) {
    this.#pool = pool
    this.#own = own
  }

  /**
   * With `busy` buffers on their way to disk: may the giver go on, or has it to wait until some came back? Reserves
   * what going on may need; called with fewer it gives the rest back. With none busy the answer is always yes.
   */
  allow(busy: number): boolean {
    const wanted = Math.max(busy, 0)
    while (this.#extras < wanted && this.#pool.reserve()) this.#extras++
    if (this.#extras > wanted) {
      this.#pool.unreserve(this.#extras - wanted)
      this.#extras = wanted
    }
    return this.#extras >= wanted
  }

  take(): Buffer {
    // Only a giver that goes on without waiting for `drained` gets here: a bug, and its memory would have no bound.
    if (this.#taken >= this.#own + this.#extras) throw new Error('bytes were given without waiting for drained()')
    this.#taken++
    return this.#pool.take()
  }

  /** A buffer that nobody fills or writes any more. */
  give(buffer: Buffer): void {
    this.#taken--
    this.#pool.give(buffer)
  }

  /** Forgets a buffer that its giver may still have in hand: the next writer must not get it. */
  abandon(): void {
    this.#taken--
  }

  leave(): void {
    this.allow(0)
    this.#pool.leave(this.#own)
  }
}
