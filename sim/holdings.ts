import { Firsthand } from './firsthand.ts'
import type { Clock, Happening } from './clock.ts'

export interface FileShape {
  readonly bytes: number
  readonly pieceLength: number
  readonly pieceCount: number
  /** Bytes of what is asked for, had and passed on as one; the last one of a piece may be shorter. */
  readonly unitLength: number
}

/** What one peer has of the file, and in which order it got it. */
export class Holdings {
  readonly shape: FileShape
  readonly unitsPerPiece: number
  readonly unitCount: number
  readonly #clock: Clock
  readonly #held: Uint8Array
  /** Units that are missing, of each piece. */
  readonly #missing: Uint16Array
  /** Units that came from peers, in their order, when, and whether with it the piece was whole (1). */
  readonly log: Int32Array
  readonly logAtMs: Float64Array
  readonly logWhole: Uint8Array
  logCount = 0
  heldUnits = 0
  /** Whole pieces. */
  heldCount = 0
  heldBytes = 0
  /** Pieces that were read from the origin: they are handed out one by one. */
  readonly firsthand: Firsthand
  /** Told of each unit that came, or piece that was read from the source. */
  onChange: ((number: number, source: boolean) => void) | undefined
  #waiters: Happening[] = []

  constructor(shape: FileShape, clock: Clock) {
    const { bytes, pieceLength, pieceCount, unitLength } = shape
    this.shape = shape
    this.#clock = clock
    this.unitsPerPiece = Math.ceil(pieceLength / unitLength)
    const last = bytes - (pieceCount - 1) * pieceLength
    this.unitCount = (pieceCount - 1) * this.unitsPerPiece + Math.ceil(last / unitLength)
    this.#held = new Uint8Array(this.unitCount)
    this.#missing = new Uint16Array(pieceCount).fill(this.unitsPerPiece)
    this.#missing[pieceCount - 1] = Math.ceil(last / unitLength)
    this.log = new Int32Array(this.unitCount)
    this.logAtMs = new Float64Array(this.unitCount)
    this.logWhole = new Uint8Array(this.unitCount)
    this.firsthand = new Firsthand(clock)
  }

  get complete(): boolean {
    return this.heldUnits === this.unitCount
  }

  lengthOf(number: number): number {
    const { bytes, pieceLength } = this.shape
    return Math.min(pieceLength, bytes - number * pieceLength)
  }

  unitsIn(number: number): number {
    return Math.min(this.unitsPerPiece, this.unitCount - number * this.unitsPerPiece)
  }

  has(number: number): boolean {
    return this.#missing[number] === 0
  }

  hasUnit(unit: number): boolean {
    return this.#held[unit] === 1
  }

  /** Something of the piece is here. */
  hasBegun(number: number): boolean {
    return (this.#missing[number] as number) < this.unitsIn(number)
  }

  /** A unit came from a peer. False when it was here already. */
  gain(unit: number): boolean {
    if (!this.#take(unit)) return false
    const number = Math.floor(unit / this.unitsPerPiece)
    this.log[this.logCount] = unit
    this.logAtMs[this.logCount] = this.#clock.now()
    this.logWhole[this.logCount] = this.has(number) ? 1 : 0
    this.logCount++
    if (this.#waiters.length > 0) {
      const waiters = this.#waiters
      this.#waiters = []
      for (const waiter of waiters) waiter.fire()
    }
    if (this.complete) this.firsthand.close()
    this.onChange?.(number, false)
    return true
  }

  /** A piece came from the origin. */
  read(number: number): void {
    const first = number * this.unitsPerPiece
    for (let unit = first; unit < first + this.unitsIn(number); unit++) this.#take(unit)
    this.firsthand.add(number, this.unitsIn(number))
    if (this.complete) this.firsthand.close()
    this.onChange?.(number, true)
  }

  /** `waiter` is fired once, with the next unit that comes from a peer. */
  onceMore(waiter: Happening): void {
    this.#waiters.push(waiter)
  }

  #take(unit: number): boolean {
    if (this.#held[unit] === 1) return false
    this.#held[unit] = 1
    const number = Math.floor(unit / this.unitsPerPiece)
    const left = (this.#missing[number] as number) - 1
    this.#missing[number] = left
    this.heldUnits++
    if (left === 0) this.heldCount++
    const { unitLength, pieceLength } = this.shape
    const start = (unit - number * this.unitsPerPiece) * unitLength
    this.heldBytes += Math.min(unitLength, Math.min(pieceLength, this.lengthOf(number)) - start)
    return true
  }
}
