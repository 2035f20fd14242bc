import { Bits } from './bits.ts'

export interface HandoutDeps {
  /** Milliseconds. */
  now(): number
}

/** A child as its parent sees it. */
export interface HandoutChild {
  readonly wants: (number: number) => boolean
  /** There may be something to tell it: `next` is to be asked. Called in the middle of things: ask later, not within. */
  readonly wake: () => void
}

/** Pieces allotted to a child and not yet sent: at first; at most; where it is slow. */
const FIRST_WINDOW = 2
const LAST_WINDOW = 64
const SLOW_WINDOW = 1
/** A piece that was drawn in this time was waited for by an idle link: the child may have more at once. */
const FAST_MS = 100
/** A child that drew nothing for so long, or for so many of its turns, gives its allotment to others. */
const LEAST_PATIENCE_MS = 1000
const PATIENT_TURNS = 4
const MOST_PATIENCE_MS = 30_000
/** A piece that its owner has for so long is told to an idle child, too. */
const LATE_MS = 1000
/** A piece that so many children did not draw is told to everybody. */
const MOST_RETURNS = 3
/** Old pieces are told to an idle child so many at first, and then twice as many every so often. */
const FIRST_OLD = 4
const OLD_PAUSE_MS = 250
/** Drawings that a mean is of, about. */
const MEAN_OF = 32
const LONGEST_GAP_MS = 10_000
/** Children passed over in one go, because they want nothing of what there is. */
const MOST_PASSED = 32

/** A piece of which the parent's is the only copy, as far as it knows. */
interface Fresh {
  readonly number: number
  unsentBytes: number
  owner: Child | undefined
  /** When it became the owner's to draw. */
  sinceMs: number
  /** How many did not draw it. */
  returns: number
  /** Where it waits in the queue; an older place there is void. */
  place: number
}

interface Child extends HandoutChild {
  window: number
  readonly owed: Set<Fresh>
  progressAtMs: number
  /** In the queue: nothing before it is for this child. */
  cursor: number
  /** Allotted, and to be told. */
  readonly untold: Fresh[]
  /** Told of while fresh: not to be told again. */
  readonly early: Set<number>
  /** How many of the old pieces were looked at for it. */
  oldRead: number
  oldAtOnce: number
  oldAtMs: number
}

/**
 * For a parent that read the origin: which child is told of which piece first, so that each piece leaves the parent once
 * before any leaves it twice. Each child gets pieces of its own, as many as it draws; old ones, that were sent once, are
 * to be had of others, and told when there is nothing fresh for a child. Whoever asks is told of everything in the end.
 * Not for children that read along: they are told of all there is. Pure; time is given.
 *
 * The caller asks `next` when it is woken, and at least every 500 ms.
 */
export class Handout {
  readonly #deps: HandoutDeps
  readonly #children = new Map<string, Child>()
  /** Children with room, who waited longest first. */
  readonly #roomy = new Set<Child>()
  /** Children with an allotment, who drew something last at the end. */
  readonly #busy = new Set<Child>()
  readonly #known = new Bits(256)
  readonly #fresh = new Map<number, Fresh>()
  #queue: (Fresh | undefined)[] = []
  #queueHead = 0
  /** Pieces that were sent once, in that order. */
  readonly #old: number[] = []
  #closed = false
  readonly #drawings = new Pace()

  constructor(deps: HandoutDeps) {
    this.#deps = deps
  }

  /** Pieces that were not yet sent once. */
  get fresh(): number {
    return this.#fresh.size
  }

  /** A child that asks what is here. Once more with the same id is another child in its place. */
  join(id: string, { wants, wake }: HandoutChild): void {
    this.leave(id)
    const child: Child = {
      wants,
      wake,
      window: FIRST_WINDOW,
      owed: new Set(),
      progressAtMs: this.#deps.now(),
      cursor: 0,
      untold: [],
      early: new Set(),
      oldRead: 0,
      oldAtOnce: FIRST_OLD,
      oldAtMs: Number.NEGATIVE_INFINITY,
    }
    this.#children.set(id, child)
    this.#roomy.add(child)
    this.#deal()
  }

  /** It asks no more. What it did not draw goes to others. */
  leave(id: string): void {
    const child = this.#children.get(id)
    if (child === undefined) return
    this.#children.delete(id)
    this.#giveBack(child)
    this.#roomy.delete(child)
    this.#deal()
  }

  /** A piece of so many bytes is here now, read from the origin. */
  add(number: number, bytes: number): void {
    if (!this.#known.add(number)) return
    const piece: Fresh = { number, unsentBytes: bytes, owner: undefined, sinceMs: 0, returns: 0, place: 0 }
    this.#fresh.set(number, piece)
    this.#enqueue(piece)
    this.#deal()
  }

  /** No more pieces will come. */
  close(): void {
    this.#closed = true
    if (this.#fresh.size === 0) this.#wakeAll()
  }

  /** So many bytes of a piece went out, to whomever. */
  sent(number: number, bytes: number): void {
    const nowMs = this.#deps.now()
    this.#drawings.note(nowMs)
    const piece = this.#fresh.get(number)
    if (piece === undefined) return
    piece.unsentBytes -= bytes
    const { owner } = piece
    if (owner !== undefined) this.#noteProgress(owner, nowMs)
    if (piece.unsentBytes > 0) return
    this.#age(piece, nowMs)
    this.#deal()
  }

  /** Numbers of pieces that the child is to be told of now. None of them is told to it twice. */
  next(id: string): number[] {
    const child = this.#children.get(id)
    if (child === undefined) return []
    this.#lapse()
    this.#deal()
    const told = child.untold.splice(0).map(({ number }) => number)
    if (this.#closed && this.#fresh.size === 0) this.#tellOld(child, Number.POSITIVE_INFINITY, told)
    else if (child.owed.size === 0 && this.#find(child) === undefined) this.#tellSomeOld(child, told)
    return told
  }

  #tellSomeOld(child: Child, told: number[]): void {
    const nowMs = this.#deps.now()
    if (nowMs - child.oldAtMs < OLD_PAUSE_MS) return
    this.#tellOld(child, child.oldAtOnce, told)
    if (told.length === 0) this.#tellLate(child, told, nowMs)
    if (told.length === 0) return
    child.oldAtOnce *= 2
    child.oldAtMs = nowMs
  }

  /** A fresh piece that somebody else is slow to draw. */
  #tellLate(child: Child, told: number[], nowMs: number): void {
    for (const { number, owner, sinceMs } of this.#fresh.values()) {
      if (owner === undefined || nowMs - sinceMs < LATE_MS || child.early.has(number) || !child.wants(number)) continue
      child.early.add(number)
      told.push(number)
      return
    }
  }

  #tellOld(child: Child, most: number, told: number[]): void {
    for (let left = most; left > 0 && child.oldRead < this.#old.length; ) {
      const number = this.#old[child.oldRead++] as number
      if (child.early.delete(number) || !child.wants(number)) continue
      told.push(number)
      left--
    }
  }

  /** Allots what waits to those who have room, in turn. */
  #deal(): void {
    let passed = 0
    for (const child of this.#roomy) {
      if (this.#head() === undefined || passed > MOST_PASSED) return
      this.#roomy.delete(child)
      const piece = this.#find(child)
      if (piece === undefined) passed++
      else this.#allot(piece, child)
      if (child.owed.size < child.window) this.#roomy.add(child)
    }
  }

  #allot(piece: Fresh, child: Child): void {
    const nowMs = this.#deps.now()
    this.#queue[piece.place] = undefined
    piece.owner = child
    piece.sinceMs = nowMs
    if (child.owed.size === 0) {
      child.progressAtMs = nowMs
      this.#busy.add(child)
    }
    child.owed.add(piece)
    child.untold.push(piece)
    child.early.add(piece.number)
    child.wake()
  }

  /** The first that waits in the queue. */
  #head(): Fresh | undefined {
    while (this.#queueHead < this.#queue.length && this.#queue[this.#queueHead] === undefined) this.#queueHead++
    return this.#queue[this.#queueHead]
  }

  /** The first that waits, and that the child wants and was not told of. */
  #find(child: Child): Fresh | undefined {
    child.cursor = Math.max(child.cursor, this.#queueHead)
    for (; child.cursor < this.#queue.length; child.cursor++) {
      const piece = this.#queue[child.cursor]
      if (piece !== undefined && !child.early.has(piece.number) && child.wants(piece.number)) return piece
    }
    return undefined
  }

  #enqueue(piece: Fresh): void {
    if (this.#queue.length > 2 * this.#fresh.size + 1024) this.#tidy()
    piece.place = this.#queue.length
    this.#queue.push(piece)
  }

  /** Without the gaps; everybody looks at all of it anew. */
  #tidy(): void {
    this.#queue = this.#queue.filter((piece) => piece !== undefined)
    for (const [place, piece] of this.#queue.entries()) if (piece !== undefined) piece.place = place
    this.#queueHead = 0
    for (const child of this.#children.values()) child.cursor = 0
  }

  #noteProgress(owner: Child, nowMs: number): void {
    owner.progressAtMs = nowMs
    this.#busy.delete(owner)
    this.#busy.add(owner)
  }

  /** Sent once: others have it by now. */
  #age(piece: Fresh, nowMs: number): void {
    const { owner } = piece
    this.#fresh.delete(piece.number)
    if (owner === undefined) this.#queue[piece.place] = undefined
    else this.#disown(piece, owner, nowMs)
    this.#old.push(piece.number)
    if (this.#closed && this.#fresh.size === 0) this.#wakeAll()
  }

  #disown(piece: Fresh, owner: Child, nowMs: number): void {
    owner.owed.delete(piece)
    if (nowMs - piece.sinceMs < FAST_MS * owner.window) owner.window = Math.min(owner.window + 1, LAST_WINDOW)
    else owner.window = Math.max(owner.window - 1, FIRST_WINDOW)
    if (owner.owed.size === 0) this.#busy.delete(owner)
    if (owner.owed.size < owner.window) this.#roomy.add(owner)
    // Whoever has nothing left is told of something else.
    if (owner.owed.size === 0) owner.wake()
  }

  /** Who drew nothing for too long gives its allotment to others. */
  #lapse(): void {
    const nowMs = this.#deps.now()
    for (const child of this.#busy) {
      if (nowMs - child.progressAtMs <= this.#patienceMs) return
      this.#giveBack(child)
      child.window = SLOW_WINDOW
      this.#roomy.add(child)
    }
  }

  #giveBack(child: Child): void {
    const nowMs = this.#deps.now()
    this.#busy.delete(child)
    const owed = [...child.owed]
    child.owed.clear()
    for (const piece of owed) {
      piece.owner = undefined
      piece.returns++
      this.#enqueue(piece)
      if (piece.returns >= MOST_RETURNS) this.#age(piece, nowMs)
    }
  }

  /** How long a child may draw nothing: it shares the parent's link with the others. */
  get #patienceMs(): number {
    return between(LEAST_PATIENCE_MS, PATIENT_TURNS * this.#drawings.gapMs * this.#busy.size, MOST_PATIENCE_MS)
  }

  #wakeAll(): void {
    for (const child of this.#children.values()) child.wake()
  }
}

/** Mean time between things of one kind. */
class Pace {
  gapMs = 0
  #atMs = Number.NaN
  #count = 0

  note(nowMs: number): void {
    const gapMs = nowMs - this.#atMs
    this.#atMs = nowMs
    // Nobody drew for a long time because nobody was there.
    if (!(gapMs < LONGEST_GAP_MS)) return
    this.#count = Math.min(this.#count + 1, MEAN_OF)
    this.gapMs += (gapMs - this.gapMs) / this.#count
  }
}

function between(least: number, value: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
