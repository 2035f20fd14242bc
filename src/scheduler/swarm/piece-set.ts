/** Pieces above this number are not counted: a task of 2^20 pieces has at least 4 TiB, and a bitset of 128 KiB. */
export const MAX_PIECE_NUMBER = 2 ** 20 - 1

const NO_BITS = new Uint8Array(0)

/** Which pieces a peer has: a bit each, grown as they come; a peer that has them all takes no memory for them. */
export class PieceSet {
  /** All pieces below this are in it, and have no bit. */
  #below = 0
  #bits: Uint8Array = NO_BITS
  #size = 0

  /** How many pieces are in it. */
  get size(): number {
    return this.#size
  }

  has(number: number): boolean {
    if (number < this.#below) return Number.isInteger(number) && number >= 0
    return ((this.#bits[number >>> 3] ?? 0) & (1 << (number & 7))) !== 0
  }

  /** False when the piece was there already, or cannot be a piece number. */
  add(number: number): boolean {
    if (!Number.isInteger(number) || number < 0 || number > MAX_PIECE_NUMBER || this.has(number)) return false
    const index = number >>> 3
    if (index >= this.#bits.length) this.#grow(index + 1)
    this.#bits[index] = (this.#bits[index] ?? 0) | (1 << (number & 7))
    this.#size++
    return true
  }

  /** The pieces from 0 up to, not including, `count`. */
  addAll(count: number): void {
    const below = Math.min(count, MAX_PIECE_NUMBER + 1)
    if (below <= this.#below) return
    const above: number[] = []
    for (let number = below; number < this.#bits.length * 8; number++) if (this.has(number)) above.push(number)
    this.#below = below
    this.#bits = NO_BITS
    this.#size = below
    for (const number of above) this.add(number)
  }

  #grow(length: number): void {
    const bits = new Uint8Array(Math.max(length, Math.min(this.#bits.length * 2, (MAX_PIECE_NUMBER + 1) / 8)))
    bits.set(this.#bits)
    this.#bits = bits
  }
}
