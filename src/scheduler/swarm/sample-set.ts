/** A set that can be walked in random order without copying it. */
export class SampleSet<T extends object> {
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
    this.#places.delete(item)
    const [last] = this.#items.splice(-1)
    if (last === undefined || last === item) return
    this.#items[place] = last
    this.#places.set(last, place)
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items.values()
  }

  /** Every item once, in random order; costs only as much as is taken. `random` gives 0 ≤ x < 1. */
  *shuffled(random: () => number): Generator<T, void, undefined> {
    const moved = new Map<number, T>()
    for (let left = this.#items.length; left > 0; left--) {
      const pick = Math.floor(random() * left)
      const item = moved.get(pick) ?? this.#items[pick]
      const last = moved.get(left - 1) ?? this.#items[left - 1]
      if (item === undefined || last === undefined) return
      moved.set(pick, last)
      yield item
    }
  }
}
