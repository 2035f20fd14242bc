/** Some of the numbers from 0 up: a bit each, 32 of them in a word. Grows as needed. */
export class Bits {
  #words: Int32Array

  constructor(size: number) {
    this.#words = new Int32Array(Math.ceil(size / 32))
  }

  has(index: number): boolean {
    return (((this.#words[index >>> 5] ?? 0) >>> (index & 31)) & 1) === 1
  }

  /** Numbers `32 × at` to `32 × at + 31`, the lowest in the lowest bit. */
  word(at: number): number {
    return this.#words[at] ?? 0
  }

  /** False when it was there already. */
  add(index: number): boolean {
    const at = index >>> 5
    if (at >= this.#words.length) this.#grow(at)
    const before = this.#words[at] as number
    const after = before | (1 << (index & 31))
    this.#words[at] = after
    return before !== after
  }

  /** False when it was not there. */
  delete(index: number): boolean {
    if (!this.has(index)) return false
    const at = index >>> 5
    this.#words[at] = (this.#words[at] as number) & ~(1 << (index & 31))
    return true
  }

  clear(): void {
    this.#words.fill(0)
  }

  #grow(at: number): void {
    const words = new Int32Array(Math.max(at + 1, this.#words.length * 2))
    words.set(this.#words)
    this.#words = words
  }
}

/** The first number from `from` up to, not including, `to` that is in both; undefined: none is. */
export function firstInBoth(a: Bits, b: Bits, from: number, to: number): number | undefined {
  for (let at = from >>> 5; at < Math.ceil(to / 32); at++) {
    let both = a.word(at) & b.word(at)
    if (at === from >>> 5) both &= -1 << (from & 31)
    if (both === 0) continue
    const found = at * 32 + lowest(both)
    return found < to ? found : undefined
  }
  return undefined
}

/** The place of the lowest bit that is set; of 0 there is none. */
export function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}
