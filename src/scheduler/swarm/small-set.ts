/** A set of few items, in the order they were added: a list takes a fraction of the memory of a Set. */
export class SmallSet<T> implements Iterable<T> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  /** The one that was added last. */
  get last(): T | undefined {
    return this.#items.at(-1)
  }

  has(item: T): boolean {
    return this.#items.includes(item)
  }

  add(item: T): void {
    if (!this.has(item)) this.#items.push(item)
  }

  delete(item: T): void {
    const place = this.#items.lastIndexOf(item)
    if (place >= 0) this.#items.splice(place, 1)
  }

  clear(): void {
    this.#items.length = 0
  }

  find(holds: (item: T) => boolean): T | undefined {
    return this.#items.find(holds)
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items.values()
  }
}
