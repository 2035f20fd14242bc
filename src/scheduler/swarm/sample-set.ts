/** A set that can be walked in random order without copying it. */
export class SampleSet<T> {
  readonly #items: T[] = []
  readonly #places = new Map<T, number>()

  get size(): number {
    return this.#items.length
  }

  has(item: T): boolean {
    return this.#places.has(item)
  }

  add(item: T): void {
    if (this.#places.has(item)) return
    this.#places.set(item, this.#items.length)
    this.#items.push(item)
  }

  delete(item: T): void {
    const place = this.#places.get(item)
    if (place === undefined) return
    const last = this.#items.at(-1) as T
    this.#items[place] = last
    this.#places.set(last, place)
    this.#items.pop()
    this.#places.delete(item)
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items.values()
  }

  /** Every item once, in random order; costs only as much as is taken. `random` gives 0 ≤ x < 1. */
  *shuffled(random: () => number): Generator<T, void, undefined> {
    const moved = new Map<number, T>()
    for (let left = this.#items.length; left > 0; left--) {
      const pick = Math.floor(random() * left)
      const at = (index: number): T => moved.get(index) ?? (this.#items[index] as T)
      const item = at(pick)
      moved.set(pick, at(left - 1))
      yield item
    }
  }
}
