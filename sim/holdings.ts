import { BLOCK_BYTES } from './transfer.ts'

/** What may be passed on before the next one has it all. */
export type Unit = 'piece' | 'block'

export interface FileShape {
  readonly bytes: number
  readonly pieceLength: number
  readonly pieceCount: number
}

/** Passes on what comes in. */
export interface Follower {
  move(): void
}

/** What one peer has of the file, and in which order it began to offer it. */
export class Holdings {
  readonly shape: FileShape
  readonly #unit: Unit
  readonly #clock: { now(): number }
  readonly #held: Uint8Array
  /** Bytes of pieces that are on their way and, block by block, already here. */
  readonly #partial = new Map<number, number>()
  /** Pieces in the order they were offered, and when; with blocks as the unit twice: begun, and whole. */
  readonly offered: Int32Array
  readonly offeredAtMs: Float64Array
  offeredCount = 0
  heldCount = 0
  heldBytes = 0
  readonly #onOffer = new Set<() => void>()
  readonly #followers = new Map<number, Follower[]>()

  constructor(shape: FileShape, unit: Unit, clock: { now(): number }) {
    this.shape = shape
    this.#unit = unit
    this.#clock = clock
    this.#held = new Uint8Array(shape.pieceCount)
    this.offered = new Int32Array(2 * shape.pieceCount)
    this.offeredAtMs = new Float64Array(2 * shape.pieceCount)
  }

  get complete(): boolean {
    return this.heldCount === this.shape.pieceCount
  }

  lengthOf(number: number): number {
    const { bytes, pieceLength } = this.shape
    return Math.min(pieceLength, bytes - number * pieceLength)
  }

  has(number: number): boolean {
    return this.#held[number] === 1
  }

  /** Bytes of a piece, from its start, that are here and may be passed on. */
  available(number: number): number {
    return this.has(number) ? this.lengthOf(number) : (this.#partial.get(number) ?? 0)
  }

  /** So much of a piece has arrived. With whole pieces as the unit nothing counts before the last byte. */
  arrived(number: number, bytes: number): void {
    if (this.#unit === 'piece' || this.has(number)) return
    const whole = bytes - (bytes % BLOCK_BYTES)
    const before = this.#partial.get(number) ?? 0
    if (whole <= before) return
    this.#partial.set(number, whole)
    this.heldBytes += whole - before
    if (before === 0) this.#offer(number)
    this.#tellBytes(number)
  }

  /** The piece is here, and checked. */
  hold(number: number): void {
    if (this.has(number)) return
    const before = this.#partial.get(number) ?? 0
    this.#partial.delete(number)
    this.#held[number] = 1
    this.heldCount++
    this.heldBytes += this.lengthOf(number) - before
    this.#offer(number)
    this.#tellBytes(number)
    this.#followers.delete(number)
  }

  /** Calls `tell` when another piece is offered, until the answer is called. */
  onOffer(tell: () => void): () => void {
    this.#onOffer.add(tell)
    return () => this.#onOffer.delete(tell)
  }

  /** Moves the follower when more of this piece is here, until it is all here. */
  onBytes(number: number, follower: Follower): void {
    if (this.has(number)) return
    const followers = this.#followers.get(number)
    if (followers === undefined) this.#followers.set(number, [follower])
    else followers.push(follower)
  }

  #offer(number: number): void {
    this.offered[this.offeredCount] = number
    this.offeredAtMs[this.offeredCount] = this.#clock.now()
    this.offeredCount++
    for (const tell of this.#onOffer) tell()
  }

  #tellBytes(number: number): void {
    const followers = this.#followers.get(number)
    if (followers !== undefined) for (const follower of followers) follower.move()
  }
}
