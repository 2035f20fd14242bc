import { Handout } from '#daemon'
import type { Clock } from './clock.ts'

/** As in src/daemon/piece-telling.ts: how often a child is looked after that nothing woke. */
const CHECK_MS = 500

/** Somebody who is told of pieces that its parent read from the origin. */
export interface Listener {
  /** It did not have the piece when it began to listen. */
  asked(number: number): boolean
  told(numbers: readonly number[]): void
}

interface Child {
  readonly id: string
  readonly listener: Listener
  readonly untold: Set<number>
  /** When it is looked after; an earlier time makes a later one void. */
  takeAtMs: number
  over: boolean
}

/** The pieces that one host read from the origin: which of its children is told of which first is the real `Handout`. */
export class Firsthand {
  readonly #clock: Clock
  readonly #pieces = new Map<number, number>()
  readonly #children = new Map<string, Child>()
  #handout: Handout | undefined
  #closed = false
  #joined = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get numbers(): Iterable<number> {
    return this.#pieces.keys()
  }

  /** How many are told of what this host has. */
  get children(): number {
    return this.#children.size
  }

  /** A piece of so many units is here. */
  add(number: number, units: number): void {
    this.#pieces.set(number, units)
    this.#handout?.add(number, units)
    for (const { listener, untold } of this.#children.values()) if (listener.asked(number)) untold.add(number)
    // Whoever listened before there was anything of this kind.
    if (this.#handout === undefined && this.#children.size > 0) this.#begin()
  }

  /** Everything is here. */
  close(): void {
    this.#closed = true
    this.#handout?.close()
  }

  asked(number: number, first: number, count: number): void {
    this.#handout?.asked(number, first, count)
  }

  sent(number: number, count: number): void {
    this.#handout?.sent(number, count)
  }

  /** `keepsBack`: there is more than it was told. */
  join(listener: Listener): { readonly keepsBack: boolean; leave(): void } {
    const untold = new Set([...this.#pieces.keys()].filter((number) => listener.asked(number)))
    const child: Child = {
      id: String(++this.#joined),
      listener,
      untold,
      takeAtMs: Number.POSITIVE_INFINITY,
      over: false,
    }
    this.#children.set(child.id, child)
    if (this.#handout !== undefined) this.#joinHandout(this.#handout, child)
    else if (this.#pieces.size > 0) this.#begin()
    return {
      get keepsBack() {
        return untold.size > 0
      },
      leave: () => this.#leave(child),
    }
  }

  #leave(child: Child): void {
    child.over = true
    if (!this.#children.delete(child.id)) return
    this.#handout?.leave(child.id)
    if (this.#children.size === 0) this.#handout = undefined
  }

  #begin(): void {
    const handout = new Handout({ now: () => this.#clock.now() })
    this.#handout = handout
    for (const [number, units] of this.#pieces) handout.add(number, units)
    if (this.#closed) handout.close()
    for (const child of this.#children.values()) this.#joinHandout(handout, child)
  }

  #joinHandout(handout: Handout, child: Child): void {
    const now = (): number => this.#clock.now()
    handout.join(child.id, {
      wants: (number) => child.listener.asked(number),
      wake: () => this.#takeAt(child, now()),
    })
    this.#takeAt(child, now())
  }

  #takeAt(child: Child, atMs: number): void {
    if (child.takeAtMs <= atMs) return
    child.takeAtMs = atMs
    this.#clock.at(atMs, {
      fire: () => {
        if (!child.over && child.takeAtMs === atMs) this.#take(child)
      },
    })
  }

  #take(child: Child): void {
    child.takeAtMs = Number.POSITIVE_INFINITY
    const numbers = (this.#handout?.next(child.id) ?? []).filter((number) => child.untold.delete(number))
    if (numbers.length > 0) child.listener.told(numbers)
    this.#takeAt(child, this.#clock.now() + CHECK_MS)
  }
}
