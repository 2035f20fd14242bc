/** What can wait in a queue: one at a time. */
export interface Queued {
  /** Where it waits; an older place is void. */
  place: number
}

/** So many gaps are left before the rest moves together. */
const MOST_GAPS = 1024

/** First come, first served; but some may pass what they do not want, and remember how far they came (`cursor`). */
export class Queue<T extends Queued> {
  #items: (T | undefined)[] = []
  #first = 0
  #waiting = 0

  /** The first that waits. */
  get head(): T | undefined {
    while (this.#first < this.#items.length && this.#items[this.#first] === undefined) this.#first++
    return this.#items[this.#first]
  }

  /** True: all places have changed, and every cursor is to begin anew. */
  push(item: T): boolean {
    const tidied = this.#items.length > 2 * this.#waiting + MOST_GAPS
    if (tidied) this.#tidy()
    item.place = this.#items.length
    this.#items.push(item)
    this.#waiting++
    return tidied
  }

  remove({ place }: T): void {
    if (this.#items[place] !== undefined) this.#waiting--
    this.#items[place] = undefined
  }

  /** The first one from the cursor on that will do. What was passed is not looked at again. */
  find(from: { cursor: number }, willDo: (item: T) => boolean): T | undefined {
    from.cursor = Math.max(from.cursor, this.#first)
    for (; from.cursor < this.#items.length; from.cursor++) {
      const item = this.#items[from.cursor]
      if (item !== undefined && willDo(item)) return item
    }
    return undefined
  }

  #tidy(): void {
    this.#items = this.#items.filter((item) => item !== undefined)
    for (const [place, item] of this.#items.entries()) if (item !== undefined) item.place = place
    this.#first = 0
  }
}
