import { Bits } from './bits.ts'
import { Queue, type Queued } from './queue.ts'

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
/** A child that asks for nothing that was allotted to it for so long gives it to others. */
const IDLE_MS = 1000
/** The same where it has asked, and nothing could be sent: its link is dead, or nobody has told yet. */
const STUCK_MS = 30_000
/** How often that is looked at. */
const LOOK_MS = 200
/** A piece that its owner has for so long is told to an idle child, too: one, and another one after twice the time. */
const LATE_MS = 1000
/** Once everything is allotted: so many children draw, as long as there is anything to draw. Fewer would not fill the link. */
const DRAWING = 8
/** A piece that so many children did not draw is told to everybody. */
const MOST_RETURNS = 3
/**
 * So long after a piece was sent once everybody is told of it who has nothing of its own to draw: who is well connected
 * has it from others by then.
 */
const SPREAD_MS = 5000
/** Children passed over in one go, because they want nothing of what there is. */
const MOST_PASSED = 32

/** A piece of which the parent's is the only copy, as far as it knows. */
interface Fresh extends Queued {
  readonly number: number
  readonly blocks: number
  /** Blocks that somebody asked for, and how many that are. */
  asked: Bits
  askedCount: number
  sentCount: number
  /** Blocks that were asked for, and not yet sent; too many where a connection broke. */
  waiting: number
  owner: Child | undefined
  /** When it became the owner's to draw. */
  sinceMs: number
  /** How many did not draw it. */
  returns: number
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
  /** Children with an allotment. */
  readonly #busy = new Set<Child>()
  /** Children that draw what others own. */
  readonly #helpers = new Set<Child>()
  readonly #known = new Bits(256)
  readonly #fresh = new Map<number, Fresh>()
  readonly #queue = new Queue<Fresh>()
  /** Pieces that were sent once, in that order, and when. */
  readonly #old: { readonly number: number; readonly atMs: number }[] = []
  #closed = false
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #lateAtMs = Number.NEGATIVE_INFINITY
  #latePauseMs = LATE_MS

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
    this.#helpers.delete(child)
    this.#deal()
  }

  /** A piece of so many blocks is here now, read from the origin. */
  add(number: number, blocks: number): void {
    if (!this.#known.add(number)) return
    const piece: Fresh = {
      number,
      blocks,
      asked: new Bits(blocks),
      askedCount: 0,
      sentCount: 0,
      waiting: 0,
      owner: undefined,
      sinceMs: 0,
      returns: 0,
      place: 0,
    }
    this.#fresh.set(number, piece)
    this.#enqueue(piece)
    this.#deal()
  }

  /** No more pieces will come. */
  close(): void {
    this.#closed = true
    if (this.#fresh.size === 0) this.#wakeAll()
  }

  /** Somebody asks for `count` blocks of a piece, from block `first` on. */
  asked(number: number, first: number, count: number): void {
    const piece = this.#fresh.get(number)
    if (piece === undefined) return
    for (let block = first; block < first + count; block++) if (piece.asked.add(block)) piece.askedCount++
    piece.waiting += count
    if (piece.owner !== undefined) piece.owner.progressAtMs = this.#deps.now()
  }

  /** So many blocks of a piece went out, to whomever. */
  sent(number: number, count: number): void {
    const nowMs = this.#deps.now()
    const piece = this.#fresh.get(number)
    if (piece === undefined) return
    piece.sentCount += count
    piece.waiting = Math.max(0, piece.waiting - count)
    if (piece.owner !== undefined) piece.owner.progressAtMs = nowMs
    // A block may have gone out twice: each has to be asked for at least.
    if (piece.sentCount < piece.blocks || piece.askedCount < piece.blocks) return
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
    const nowMs = this.#deps.now()
    const allSent = this.#closed && this.#fresh.size === 0
    if (allSent || child.owed.size === 0) this.#tellOld(child, told, allSent ? nowMs : nowMs - SPREAD_MS)
    if (child.owed.size === 0 && this.#find(child) === undefined) {
      if (this.#closed) this.#tellRest(child, told)
      if (told.length === 0) this.#tellLate(child, told, nowMs)
    }
    return told
  }

  /** What others own and have not asked for, to one that has drawn all of its own: the last pieces leave as fast as the first. */
  #tellRest(child: Child, told: number[]): void {
    if (child.early.size === 0 || this.#busy.size + this.#helpers.size >= DRAWING) return
    for (const { number, blocks, askedCount } of this.#fresh.values()) {
      if (blocks - askedCount < 2 || child.early.has(number) || !child.wants(number)) continue
      this.#helpers.add(child)
      child.early.add(number)
      told.push(number)
    }
  }

  /** Those that were sent once by then. */
  #tellOld(child: Child, told: number[], untilMs: number): void {
    for (; child.oldRead < this.#old.length; child.oldRead++) {
      const { number, atMs } = this.#old[child.oldRead] as { number: number; atMs: number }
      if (atMs > untilMs) return
      if (!child.early.delete(number) && child.wants(number)) told.push(number)
    }
  }

  /** A fresh piece that somebody else is slow to draw: perhaps that one has a slow link, perhaps the parent has. */
  #tellLate(child: Child, told: number[], nowMs: number): void {
    if (nowMs - this.#lateAtMs < this.#latePauseMs) return
    for (const piece of this.#fresh.values()) {
      const { number, owner, sinceMs } = piece
      if (owner === undefined || nowMs - sinceMs < LATE_MS || child.early.has(number) || !child.wants(number)) continue
      this.#lateAtMs = nowMs
      this.#latePauseMs *= 2
      piece.sinceMs = nowMs
      child.early.add(number)
      told.push(number)
      return
    }
  }

  /** Allots what waits to those who have room, in turn. */
  #deal(): void {
    let passed = 0
    for (const child of this.#roomy) {
      if (this.#queue.head === undefined || passed > MOST_PASSED) return
      this.#roomy.delete(child)
      const piece = this.#find(child)
      if (piece === undefined) passed++
      else this.#allot(piece, child)
      if (child.owed.size < child.window) this.#roomy.add(child)
    }
  }

  #allot(piece: Fresh, child: Child): void {
    const nowMs = this.#deps.now()
    this.#queue.remove(piece)
    piece.owner = child
    piece.sinceMs = nowMs
    if (child.owed.size === 0) {
      child.progressAtMs = nowMs
      this.#busy.add(child)
    }
    child.owed.add(piece)
    child.untold.push(piece)
    child.early.add(piece.number)
    this.#latePauseMs = LATE_MS
    child.wake()
  }

  /** The first that waits, and that the child wants and was not told of. */
  #find(child: Child): Fresh | undefined {
    return this.#queue.find(child, ({ number }) => !child.early.has(number) && child.wants(number))
  }

  #enqueue(piece: Fresh): void {
    if (this.#queue.push(piece)) for (const child of this.#children.values()) child.cursor = 0
  }

  /** Sent once: others have it by now. */
  #age(piece: Fresh, nowMs: number): void {
    const { owner } = piece
    this.#fresh.delete(piece.number)
    if (owner === undefined) this.#queue.remove(piece)
    else this.#disown(piece, owner, nowMs)
    this.#old.push({ number: piece.number, atMs: nowMs })
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

  /** Who asks for nothing gives its allotment to others. */
  #lapse(): void {
    const nowMs = this.#deps.now()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return
    this.#lookedAtMs = nowMs
    for (const child of this.#busy) {
      if (nowMs - child.progressAtMs <= (isWaiting(child) ? STUCK_MS : IDLE_MS)) continue
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
      // What it drew of it may be lost.
      piece.asked = new Bits(piece.blocks)
      piece.askedCount = 0
      piece.sentCount = 0
      piece.waiting = 0
      this.#enqueue(piece)
      if (piece.returns >= MOST_RETURNS) this.#age(piece, nowMs)
    }
  }

  #wakeAll(): void {
    for (const child of this.#children.values()) child.wake()
  }
}

/** It asked for something that was not sent yet. */
function isWaiting({ owed }: Child): boolean {
  for (const { waiting } of owed) if (waiting > 0) return true
  return false
}
