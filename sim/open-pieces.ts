import type { Holdings } from './holdings.ts'
import type { Random } from './random.ts'

/** The pieces to be fetched, in no order. */
export class OpenPieces {
  readonly #numbers: Int32Array
  readonly #places: Int32Array
  #count = 0

  constructor(holdings: Holdings) {
    const { pieceCount } = holdings.shape
    this.#numbers = new Int32Array(pieceCount)
    this.#places = new Int32Array(pieceCount).fill(-1)
    for (let number = 0; number < pieceCount; number++) if (!holdings.has(number)) this.giveBack(number)
  }

  has(number: number): boolean {
    return (this.#places[number] as number) >= 0
  }

  take(number: number): void {
    const place = this.#places[number] as number
    const last = this.#numbers[--this.#count] as number
    this.#numbers[place] = last
    this.#places[last] = place
    this.#places[number] = -1
  }

  giveBack(number: number): void {
    this.#places[number] = this.#count
    this.#numbers[this.#count++] = number
  }

  /** Up to `most` of those with the fewest holders that one of `free` has, each as likely as any other. */
  rarest(holders: Int32Array, free: number, most: number, random: Random): number[] {
    const chosen: number[] = []
    let fewest = 33
    let alike = 0
    for (let place = 0; place < this.#count; place++) {
      const number = this.#numbers[place] as number
      const who = holders[number] as number
      if ((who & free) === 0) continue
      const count = bitCount(who)
      if (count > fewest) continue
      if (count < fewest) {
        fewest = count
        alike = 0
        chosen.length = 0
      }
      alike++
      if (chosen.length < most) chosen.push(number)
      else {
        const other = Math.floor(random() * alike)
        if (other < most) chosen[other] = number
      }
    }
    return chosen
  }
}

function bitCount(bits: number): number {
  let count = bits - ((bits >>> 1) & 0x55555555)
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333)
  return (((count + (count >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}
