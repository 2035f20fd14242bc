/** Pieces above this number are not counted: a task of 2^20 pieces has at least 4 TiB, and a bitset of 128 KiB. */
export const MAX_PIECE_NUMBER = 2 ** 20 - 1

/** Which pieces a peer has: a bit each, grown as they come. */
export class PieceSet {
  #bits = new Uint8Array(0)
  #size = 0

  /** How many pieces are in it. */
  get size(): number {
    return this.#size
  }

  has(number: number): boolean {
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
    for (let number = 0; number < Math.min(count, MAX_PIECE_NUMBER + 1); number++) this.add(number)
  }

  #grow(length: number): void {
    const bits = new Uint8Array(Math.max(length, this.#bits.length * 2))
    bits.set(this.#bits)
    this.#bits = bits
  }
}
