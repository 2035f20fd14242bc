import { Bits } from './bits.ts'

const FIRST_SIZE = 256

/** What is known of each unit: here or not, asked of how many, had by how many. Counts are kept, never made by a walk. */
export class UnitStates {
  /** Wanted, not here, and asked of nobody: to be read only. */
  readonly openOnes = new Bits(FIRST_SIZE)
  readonly #here = new Bits(FIRST_SIZE)
  #asks = new Uint8Array(FIRST_SIZE)
  #holders = new Uint16Array(FIRST_SIZE)
  /** Units that are known of. */
  #size = 0
  #from = 0
  #to = Number.POSITIVE_INFINITY
  #open = 0
  #missing = 0
  /** Everything wanted before it is here. */
  #firstMissing = 0

  /** Wanted, not here, and asked of nobody. */
  get open(): number {
    return this.#open
  }

  /** Wanted and not here. */
  get missing(): number {
    return this.#missing
  }

  /** First wanted unit, and the one behind the last that is known of. */
  get range(): { readonly from: number; readonly to: number } {
    return { from: this.#from, to: Math.min(this.#to, this.#size) }
  }

  /** No wanted unit before it is missing. */
  get firstMissing(): number {
    const { to } = this.range
    while (this.#firstMissing < to && this.#here.has(this.#firstMissing)) this.#firstMissing++
    return this.#firstMissing
  }

  /** There are at least so many units. */
  grow(size: number): void {
    if (size <= this.#size) return
    if (size > this.#asks.length) {
      const length = Math.max(size, this.#asks.length * 2)
      this.#asks = copied(this.#asks, new Uint8Array(length))
      this.#holders = copied(this.#holders, new Uint16Array(length))
    }
    const before = Math.max(this.range.to, this.#from)
    this.#size = size
    const { to } = this.range
    for (let unit = before; unit < to; unit++) this.openOnes.add(unit)
    const more = Math.max(0, to - before)
    this.#open += more
    this.#missing += more
  }

  /** Only units from `from` up to, not including, `to` are wanted from now on. */
  want(from: number, to: number): void {
    if (from === this.#from && to === this.#to) return
    this.#from = from
    this.#to = to
    this.#firstMissing = from
    this.#open = 0
    this.#missing = 0
    this.openOnes.clear()
    for (let unit = from; unit < this.range.to; unit++) {
      if (this.#here.has(unit)) continue
      this.#missing++
      if (this.#asks[unit] === 0) {
        this.#open++
        this.openOnes.add(unit)
      }
    }
  }

  isHere(unit: number): boolean {
    return this.#here.has(unit)
  }

  isWanted(unit: number): boolean {
    return unit >= this.#from && unit < this.#to
  }

  isMissing(unit: number): boolean {
    return this.isWanted(unit) && !this.#here.has(unit)
  }

  isOpen(unit: number): boolean {
    return this.openOnes.has(unit)
  }

  /** Of how many members it is asked now. */
  asks(unit: number): number {
    return this.#asks[unit] ?? 0
  }

  holders(unit: number): number {
    return this.#holders[unit] ?? 0
  }

  addHolders(unit: number, count: 1 | -1): void {
    this.#holders[unit] = (this.#holders[unit] as number) + count
  }

  /** False when it was here already. */
  got(unit: number): boolean {
    this.grow(unit + 1)
    if (!this.#here.add(unit)) return false
    if (!this.isWanted(unit)) return true
    this.#missing--
    if (this.openOnes.delete(unit)) this.#open--
    return true
  }

  ask(unit: number): void {
    if (this.openOnes.delete(unit)) this.#open--
    this.#asks[unit] = (this.#asks[unit] as number) + 1
  }

  /** Asked of one member less. True when it is open again. */
  release(unit: number): boolean {
    this.#asks[unit] = (this.#asks[unit] as number) - 1
    if (this.#asks[unit] !== 0 || !this.isMissing(unit)) return false
    this.openOnes.add(unit)
    this.#open++
    return true
  }
}

function copied<T extends Uint8Array | Uint16Array>(from: T, to: T): T {
  to.set(from)
  return to
}
