import { chooseFirst, choosePiece, chooseRarest, type Choosing } from './choose.ts'
import { chooseHedge } from './hedge.ts'
import { type Ask, Member } from './member.ts'
import { type Run, type Shape, Units } from './shape.ts'
import { UnitStates } from './unit-states.ts'

export interface StrategyDeps {
  /** Milliseconds. */
  now(): number
  /** 0 ≤ random() < 1 */
  random(): number
  /** Somebody reads along: the lowest first. Otherwise the rarest first. */
  inOrder(): boolean
}

/** Which units of a piece: those set, or all of them. */
export type Which = { has(index: number): boolean } | 'all'

const NONE: readonly Ask[] = []

/**
 * Decides what to ask of whom, for one peer that fetches a task from several. Knows nothing of connections or disks:
 * who drives it says what members have, what came and what did not, and asks each member for what `next` says.
 */
export class Strategy {
  readonly #states = new UnitStates()
  readonly #members = new Map<string, Member>()
  /** Who was spoken of last, and mostly is again. */
  #latest: Member | undefined
  readonly #started = new Set<number>()
  /** Asks that another one may overtake. */
  readonly #contested = new Set<Ask>()
  /** Asks of which another one has brought the rest. */
  readonly #needless = new Set<Ask>()
  /** Asks of stalled members, whose units count as open. */
  readonly #released = new Set<Ask>()
  readonly #deps: StrategyDeps
  readonly #choosing: Choosing
  #shape: Shape
  #units: Units
  #wanted: { readonly first: number; readonly last: number | undefined } = { first: 0, last: undefined }

  constructor(shape: Shape, deps: StrategyDeps) {
    this.#shape = shape
    this.#units = new Units(shape)
    this.#deps = deps
    const units = (): Units => this.#units
    this.#choosing = {
      states: this.#states,
      get units() {
        return units()
      },
      started: this.#started,
      random: () => deps.random(),
    }
    this.#reshape()
  }

  /** Wanted units that are not here, as far as is known. */
  get missing(): number {
    return this.#states.missing
  }

  /** Wanted units that nobody was asked for yet. */
  get open(): number {
    return this.#states.open
  }

  /** Everything wanted is here; never as long as nobody knows where that ends. */
  get complete(): boolean {
    return this.#states.missing === 0 && this.#states.range.to >= this.#end
  }

  get #end(): number {
    const { last } = this.#wanted
    const end = last === undefined ? Number.POSITIVE_INFINITY : (last + 1) * this.#units.perPiece
    return Math.min(end, this.#units.total ?? Number.POSITIVE_INFINITY)
  }

  /** Pieces `first` to `last`, both included, are wanted; without `last` everything from `first` on. */
  want(first: number, last: number | undefined): void {
    if (first === this.#wanted.first && last === this.#wanted.last) return
    this.#wanted = { first, last }
    this.#reshape()
  }

  /** The content length is known now. */
  setContentLength(contentLength: number): void {
    if (contentLength === this.#shape.contentLength) return
    this.#shape = { ...this.#shape, contentLength }
    this.#units = new Units(this.#shape)
    this.#reshape()
  }

  /** These units of a piece are here, whoever brought them. */
  got(piece: number, which: Which): void {
    const first = piece * this.#units.perPiece
    const count = this.#units.inPiece(piece)
    for (let index = 0; index < count; index++) if (which === 'all' || which.has(index)) this.#states.got(first + index)
    this.#begun(piece)
  }

  /** The same of units that are next to one another. */
  gotRun({ piece, first, count }: Run): void {
    const start = piece * this.#units.perPiece + first
    for (let unit = start; unit < start + count; unit++) this.#states.got(unit)
    this.#begun(piece)
  }

  /** Something of the piece is here: and is anything of it still to come? */
  #begun(piece: number): void {
    const first = piece * this.#units.perPiece
    const end = first + this.#units.inPiece(piece)
    let unit = first
    while (unit < end && this.#states.isHere(unit)) unit++
    if (unit === end) this.#started.delete(piece)
    else this.#started.add(piece)
  }

  /** Somebody more can be asked. `givesUnits`: for single units too, not only for whole pieces. */
  join(id: string, how: { readonly givesUnits: boolean }): void {
    if (!this.#members.has(id)) this.#members.set(id, new Member(id, how.givesUnits, this.#shape.unitLength))
  }

  /** It can be asked no more. What it was asked for is open again. */
  leave(id: string): void {
    const member = this.#member(id)
    if (member === undefined) return
    for (const ask of member.asks.slice()) this.failed(ask)
    this.#members.delete(id)
    this.#latest = undefined
    const { to } = this.#states.range
    for (let unit = 0; unit < to; unit++) if (member.units.has(unit)) this.#states.addHolders(unit, -1)
  }

  /** A member has these units of a piece. */
  has(id: string, piece: number, which: Which): void {
    const member = this.#member(id)
    if (member === undefined) return
    const first = piece * this.#units.perPiece
    const count = this.#units.inPiece(piece)
    this.#states.grow(first + count)
    for (let index = 0; index < count; index++) {
      if (which === 'all' || which.has(index)) this.#hasOne(member, first + index)
    }
  }

  /** The same of units anywhere, numbered over the whole task. */
  hasUnits(id: string, units: Iterable<number> & ArrayLike<number>): void {
    const member = this.#member(id)
    if (member === undefined) return
    for (const unit of units) {
      this.#states.grow(unit + 1)
      this.#hasOne(member, unit)
    }
  }

  #hasOne(member: Member, unit: number): void {
    if (!member.units.add(unit)) return
    this.#states.addHolders(unit, 1)
    if (this.#states.isOpen(unit)) member.canUse(unit)
  }

  /** A member does not have a piece after all. */
  hasNot(id: string, piece: number): void {
    const member = this.#member(id)
    if (member === undefined) return
    const first = piece * this.#units.perPiece
    for (let unit = first; unit < first + this.#units.perPiece; unit++) {
      if (member.units.delete(unit)) this.#states.addHolders(unit, -1)
    }
  }

  /** Whether a member has anything that is still to come, asked for or not; `alone`: and that nobody else has. */
  canGive(id: string, how?: 'alone'): boolean {
    const member = this.#member(id)
    if (member === undefined) return false
    const { to } = this.#states.range
    for (let unit = this.#states.firstMissing; unit < to; unit++) {
      if (!this.#states.isMissing(unit) || !member.units.has(unit)) continue
      if (how !== 'alone' || this.#states.holders(unit) === 1) return true
    }
    return false
  }

  /** What to ask a member for now; it counts as asked. Undefined: nothing, until something changes. */
  next(id: string): Ask | undefined {
    const member = this.#member(id)
    if (member === undefined || !member.hasRoom || this.#states.missing === 0) return undefined
    if (this.#states.open > 0) {
      const run = member.starved ? undefined : this.#choose(member)
      member.starved = run === undefined
      return run && this.#begin(member, run)
    }
    if (this.#deps.inOrder()) return undefined
    const slow = chooseHedge(member, this.#members.values(), { ...this.#choosing, nowMs: this.#deps.now() })
    if (slow === undefined) return undefined
    this.#contested.add(slow.ask)
    const ask = this.#begin(member, slow.run)
    this.#contested.add(ask)
    return ask
  }

  /** All but the end of it came: its member may be asked for the next one. */
  nearly(ask: Ask): void {
    this.#member(ask.member)?.nearlyEnded(ask)
  }

  /** All of it came. */
  done(ask: Ask): void {
    this.#member(ask.member)?.measure(ask, this.#deps.now())
    const wasAlone = this.#contested.size === 0
    this.failed(ask)
    if (wasAlone) return
    for (const { asks } of this.#members.values()) {
      for (const other of asks) if (overlap(ask, other) && this.#isHere(other)) this.#needless.add(other)
    }
  }

  /** It will not come. What of it is not here is open again. */
  failed(ask: Ask): void {
    const member = this.#member(ask.member)
    if (member?.ended(ask) !== true) return
    // Of whom nothing is waited for is not silent, called off or not.
    if (member.asks.length === 0) member.stalled = false
    this.#contested.delete(ask)
    this.#needless.delete(ask)
    if (!this.#released.delete(ask)) this.#release(ask)
  }

  /** Silent while it was to give: what it was asked for may be asked of others, and comes from it or from them. */
  stalled(id: string): void {
    const member = this.#member(id)
    if (member === undefined || member.stalled) return
    member.stalled = true
    for (const ask of member.asks) {
      this.#contested.add(ask)
      if (this.#released.has(ask)) continue // it was silent before, and went on, but not with this one
      this.#released.add(ask)
      this.#release(ask)
    }
  }

  /** The same of each whose answer takes far too long, if only a trickle comes. To be called a few times a second. */
  leaveOverdue(): void {
    const nowMs = this.#deps.now()
    for (const member of this.#members.values()) if (member.isOverdue(nowMs)) this.stalled(member.id)
  }

  /** It goes on. */
  revived(id: string): void {
    const member = this.#member(id)
    if (member !== undefined) member.stalled = false
  }

  /**
   * Asks that another one has overtaken, and whose units are all here: to be called off, and told as `failed`. Only of
   * members of whom nothing else is waited for: with an ask goes its connection, and what else comes on that. Asked for
   * after `done`; what comes is told of before, and till then nobody knows which of two has won.
   */
  needless(): readonly Ask[] {
    if (this.#needless.size === 0) return NONE
    const isNeedless = (ask: Ask): boolean => this.#needless.has(ask)
    return [...this.#needless].filter(({ member }) => this.#member(member)?.asks.every(isNeedless))
  }

  #isHere(ask: Ask): boolean {
    const first = ask.piece * this.#units.perPiece + ask.first
    for (let unit = first; unit < first + ask.count; unit++) if (!this.#states.isHere(unit)) return false
    return true
  }

  #member(id: string): Member | undefined {
    if (this.#latest?.id !== id) this.#latest = this.#members.get(id)
    return this.#latest
  }

  #choose(member: Member): Run | undefined {
    if (!member.givesUnits) {
      const piece = choosePiece(member, this.#choosing)
      return piece === undefined ? undefined : { piece, first: 0, count: this.#units.inPiece(piece) }
    }
    const choose = this.#deps.inOrder() ? chooseFirst : chooseRarest
    const unit = choose(member, this.#choosing)
    return unit === undefined ? undefined : this.#runAround(unit, member)
  }

  /** The unit, and open ones beside it: many in one request where they come fast. */
  #runAround(unit: number, member: Member): Run {
    const piece = this.#units.pieceOf(unit)
    const start = piece * this.#units.perPiece
    const mayTake = (other: number): boolean => this.#states.isOpen(other) && member.units.has(other)
    let first = unit
    let end = unit + 1
    while (end - first < member.longestRun && end < start + this.#units.perPiece && mayTake(end)) end++
    while (end - first < member.longestRun && first > start && mayTake(first - 1)) first--
    return { piece, first: first - start, count: end - first }
  }

  #begin(member: Member, run: Run): Ask {
    const bytes = this.#units.bytesOf(run)
    const { piece, first, count } = run
    const ask: Ask = { piece, first, count, member: member.id, bytes, askedAtMs: this.#deps.now() }
    member.began(ask)
    const start = piece * this.#units.perPiece
    for (let unit = start + first; unit < start + first + count; unit++) this.#states.ask(unit)
    this.#started.add(piece)
    return ask
  }

  #release(ask: Ask): void {
    const first = ask.piece * this.#units.perPiece + ask.first
    for (let unit = first; unit < first + ask.count; unit++) {
      if (!this.#states.release(unit)) continue
      for (const member of this.#members.values()) if (member.units.has(unit)) member.canUse(unit)
    }
  }

  /** Counts anew what is wanted and open. Rare: the wish or the length has changed. */
  #reshape(): void {
    const { perPiece, total } = this.#units
    if (total !== undefined) this.#states.grow(total)
    this.#states.want(this.#wanted.first * perPiece, this.#end)
    for (const member of this.#members.values()) {
      member.useful.clear()
      const { to } = this.#states.range
      for (let unit = this.#states.firstMissing; unit < to; unit++) {
        if (member.units.has(unit) && this.#states.isOpen(unit)) member.canUse(unit)
      }
    }
  }
}

function overlap(a: Run, b: Run): boolean {
  return a.piece === b.piece && a.first < b.first + b.count && b.first < a.first + a.count
}
