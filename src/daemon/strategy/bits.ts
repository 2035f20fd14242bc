/** Some of the numbers from 0 up: a bit each. Grows as needed. */
export class Bits {
  #words: Uint32Array

  constructor(size: number) {
    this.#words = new Uint32Array(Math.ceil(size / 32))
  }

  has(index: number): boolean {
    return (((this.#words[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1
  }

  /** False when it was there already. */
  add(index: number): boolean {
    const at = index >>> 5
    if (at >= this.#words.length) this.#grow(at)
    const before = this.#words[at] as number
    const after = before | (1 << (index & 31))
    this.#words[at] = after
    return before !== after >>> 0
  }

  /** False when it was not there. */
  delete(index: number): boolean {
    if (!this.has(index)) return false
    const at = index >>> 5
    this.#words[at] = (this.#words[at] as number) & ~(1 << (index & 31))
    return true
  }

  #grow(at: number): void {
    const words = new Uint32Array(Math.max(at + 1, this.#words.length * 2))
    words.set(this.#words)
    this.#words = words
  }
}
