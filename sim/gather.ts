import { type Ask, type Parent, Strategy } from '#daemon'
import type { Clock, Timer } from './clock.ts'
import type { Holdings } from './holdings.ts'
import type { Machine, Wires } from './links.ts'
import { MemberModel } from './member-model.ts'
import type { Random } from './random.ts'

/** Who can be asked for pieces. */
export interface Giver {
  readonly machine: Machine
  readonly holdings: Holdings
}

export interface GatherDeps {
  readonly clock: Clock
  readonly wires: Wires
  readonly random: Random
  /** Parents that are asked at the same time. */
  readonly concurrentPieces: number
  giverOf(parent: Parent): Giver | undefined
  held(number: number, parentId: string, costMs: number): void
  failed(number: number, parentId: string): void
  /** Parents that could be asked as well by now; undefined: there is another plan. */
  refresh(signal: AbortSignal): Promise<readonly Parent[] | undefined>
}

/** What follows restates src/daemon/round.ts, whose loop cannot be had apart from its promises and its store. */
const FIRST_REFRESH_MS = 100
const LAST_REFRESH_MS = 10_000
const MAX_MEMBERS = 24
const LOOK_AGAIN_MS = 100
const PATIENCE_MS = 60_000
/** Of who is busy nothing more can be asked: that news comes so much later changes little, and costs less. */
const HEAR_MS = 100

/** Fetches the missing pieces from parents until nothing is missing or nobody is left: a round of the daemon's. */
export class Gather {
  readonly over: Promise<void>
  #end: () => void = () => undefined
  readonly #taker: Giver
  readonly #deps: GatherDeps
  readonly #signal: AbortSignal
  readonly #strategy: Strategy
  readonly #members: MemberModel[] = []
  readonly #seen = new Set<string>()
  #ended = false
  /** Who is asked first in the next move. */
  #turn = 0
  #looksAgain = false
  /** Not before it is looked again for news of those who are busy. */
  #hearAtMs = 0
  #patience: Timer | undefined

  constructor(taker: Giver, parents: readonly Parent[], deps: GatherDeps, signal: AbortSignal) {
    this.#taker = taker
    this.#deps = deps
    this.#strategy = strategyFor(taker.holdings, deps)
    const stop = new AbortController()
    this.#signal = AbortSignal.any([signal, stop.signal])
    this.over = new Promise((resolve) => {
      this.#end = () => {
        if (this.#ended) return
        this.#ended = true
        stop.abort()
        this.#patience?.cancel()
        for (const member of this.#members) member.leave()
        deps.clock.stir()
        resolve()
      }
    })
    signal.addEventListener('abort', () => this.#end(), { once: true })
    this.#add(parents)
    void this.#grow()
    this.#move()
  }

  async #grow(): Promise<void> {
    const { clock } = this.#deps
    try {
      for (let waitMs = FIRST_REFRESH_MS; ; waitMs = Math.min(waitMs * 1.5, LAST_REFRESH_MS)) {
        await clock.sleep(waitMs, this.#signal)
        const parents = await this.#deps.refresh(this.#signal)
        if (parents === undefined) return this.#end()
        this.#add(parents, { instead: true })
        this.#move()
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error
    }
  }

  /** `instead`: of others, where there is no room. */
  #add(parents: readonly Parent[], { instead = false } = {}): void {
    for (const parent of parents) {
      const giver = this.#deps.giverOf(parent)
      if (giver === undefined || this.#seen.has(parent.id) || !this.#hasRoom(instead)) continue
      this.#seen.add(parent.id)
      if (!giver.machine.alive) continue
      this.#strategy.join(parent.id, { givesUnits: true })
      this.#members.push(this.#newMember(parent.id, giver))
    }
  }

  #hasRoom(instead: boolean): boolean {
    if (this.#members.length < MAX_MEMBERS) return true
    const spare = this.#members.filter(({ id, busy }) => !busy && !this.#strategy.canGive(id, 'alone'))
    const [least] = spare.toSorted((a, b) => a.usefulAtMs - b.usefulAtMs)
    if (!instead || least === undefined) return false
    this.#members.splice(this.#members.indexOf(least), 1)
    this.#seen.delete(least.id)
    least.leave()
    this.#strategy.leave(least.id)
    return true
  }

  #newMember(id: string, giver: Giver): MemberModel {
    const member: MemberModel = new MemberModel(id, giver, this.#taker, this.#deps, {
      arrived: (ask) => this.#arrived(member, ask),
      gone: () => this.#drop(member),
      told: (numbers) => {
        for (const number of numbers) this.#strategy.has(id, number, 'all')
        this.#move()
      },
      more: () => this.#awaitNews(member),
      news: () => this.#hearFrom(member),
      hears: (units) => this.#strategy.hasUnits(id, units),
    })
    return member
  }

  #drop(member: MemberModel): void {
    const index = this.#members.indexOf(member)
    if (this.#ended || index < 0) return
    this.#members.splice(index, 1)
    const [ask] = member.asks
    member.leave()
    this.#strategy.leave(member.id)
    if (ask !== undefined) this.#deps.failed(ask.piece, member.id)
    this.#move()
  }

  #arrived(member: MemberModel, ask: Ask): void {
    const { holdings } = this.#taker
    const first = ask.piece * holdings.unitsPerPiece + ask.first
    let whole = false
    for (let unit = first; unit < first + ask.count; unit++) if (holdings.gain(unit)) whole = holdings.has(ask.piece)
    this.#strategy.gotRun(ask)
    member.came(ask)
    this.#strategy.revived(member.id)
    this.#strategy.done(ask)
    const needless = this.#strategy.needless()
    for (const late of needless) this.#callOff(late)
    if (whole) {
      const costMs = ((this.#deps.clock.now() - ask.askedAtMs) * holdings.unitsPerPiece) / ask.count
      this.#deps.held(ask.piece, member.id, Math.round(costMs))
    }
    if (needless.length > 0 || !this.#isPlain) return this.#move()
    this.#hearAll()
    member.hear()
    this.#askMore(member)
  }

  /** Nothing that happens with one member changes what may be asked of another one. */
  get #isPlain(): boolean {
    return this.#strategy.open > 0 && this.#members.length <= this.#deps.concurrentPieces
  }

  #hearFrom(member: MemberModel): void {
    if (this.#ended) return
    if (!this.#isPlain) return this.#move()
    member.hear()
    this.#askMore(member)
  }

  /** What `#move` does, for the only one for whom something has changed. */
  #askMore(member: MemberModel): void {
    for (let ask = this.#strategy.next(member.id); ask !== undefined; ask = this.#strategy.next(member.id))
      member.ask(ask)
    if (!member.busy) this.#awaitNews(member)
    if (this.#strategy.open === 0) this.#move()
    else if (!member.busy && !this.#members.some(({ busy }) => busy)) this.#move()
    else this.#patience?.cancel()
  }

  #hearAll(): void {
    const nowMs = this.#deps.clock.now()
    if (nowMs < this.#hearAtMs) return
    this.#hearAtMs = nowMs + HEAR_MS
    for (const member of this.#members) member.hear()
  }

  /** Its connection is reset, and so everything fails that was asked for on it. */
  #callOff({ member: id }: Ask): void {
    const member = this.#members.find((one) => one.id === id)
    for (const ask of member?.callOff() ?? []) this.#strategy.failed(ask)
  }

  /** Starts what can be started, and ends the round when it has nothing more to give. */
  #move(): void {
    if (this.#ended) return
    this.#patience?.cancel()
    const { clock } = this.#deps
    if (this.#taker.holdings.complete) return this.#end()
    for (const member of this.#members) member.hear()
    const busy = this.#askAll()
    if (busy < this.#deps.concurrentPieces)
      for (const member of this.#members) if (!member.busy) this.#awaitNews(member)
    if (busy > 0) {
      if (this.#strategy.open === 0) this.#lookAgain()
      return
    }
    if (this.#members.every((member) => member.toldAll && !this.#strategy.canGive(member.id))) return this.#end()
    this.#patience = clock.timer(PATIENCE_MS, () => this.#end())
  }

  /** How many are asked for something. */
  #askAll(): number {
    const members = this.#members
    const { concurrentPieces } = this.#deps
    let busy = 0
    for (const member of members) if (member.busy) busy++
    this.#turn++
    for (let index = 0; index < members.length; index++) {
      const member = members[(index + this.#turn) % members.length] as MemberModel
      if (!member.busy && busy >= concurrentPieces) continue
      if (!member.busy) busy++
      for (let ask = this.#strategy.next(member.id); ask !== undefined; ask = this.#strategy.next(member.id))
        member.ask(ask)
      if (!member.busy) busy--
    }
    return busy
  }

  /** Nothing is asked of it: its next news may change that. */
  #awaitNews(member: MemberModel): void {
    if (!this.#ended) member.awaitNews()
  }

  /** All was asked for: perhaps somebody is late by then. */
  #lookAgain(): void {
    if (this.#looksAgain) return
    this.#looksAgain = true
    const fire = (): void => {
      this.#looksAgain = false
      this.#move()
    }
    this.#deps.clock.at(this.#deps.clock.now() + LOOK_AGAIN_MS, { fire })
  }
}

function strategyFor(holdings: Holdings, { clock, random }: GatherDeps): Strategy {
  const { bytes: contentLength, pieceLength, pieceCount, unitLength } = holdings.shape
  const strategy = new Strategy(
    { pieceLength, unitLength, contentLength },
    { now: () => clock.now(), random, inOrder: () => false },
  )
  for (let number = 0; number < pieceCount; number++) {
    if (!holdings.hasBegun(number)) continue
    const first = number * holdings.unitsPerPiece
    strategy.got(number, { has: (index) => holdings.hasUnit(first + index) })
  }
  return strategy
}
