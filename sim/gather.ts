import { type Parent, pickPiece } from '#daemon'
import type { Clock, Timer } from './clock.ts'
import type { Holdings } from './holdings.ts'
import type { Machine, Wires } from './links.ts'
import { OpenPieces } from './open-pieces.ts'
import type { Random } from './random.ts'
import { Transfer } from './transfer.ts'

/** Who can be asked for pieces. */
export interface Giver {
  readonly machine: Machine
  readonly holdings: Holdings
}

export interface GatherDeps {
  readonly clock: Clock
  readonly wires: Wires
  readonly random: Random
  readonly concurrentPieces: number
  /** Times the latency that pass between asking for a piece and the giver's first byte leaving. */
  readonly askingLatencies: number
  giverOf(parent: Parent): Giver | undefined
  held(number: number, parentId: string, costMs: number): void
  failed(number: number, parentId: string): void
  /** Parents that could be asked as well by now; undefined: there is another plan. */
  refresh(signal: AbortSignal): Promise<readonly Parent[] | undefined>
}

/** What follows restates src/daemon/round.ts, whose decisions cannot be had apart from its sockets and its store. */
const BUSY_MS = 200
const MAX_SLOTS = 4
const FIRST_REFRESH_MS = 300
const LAST_REFRESH_MS = 10_000
const MAX_MEMBERS = 12
const PATIENCE_MS = 60_000
/** A new stream for what a parent has: TCP, HTTP/2 and the request, and the way back. */
const LISTEN_LATENCIES = 4
/** Of the rarest pieces that somebody free has, so many at most are put before `pickPiece`, which draws among them. */
const CANDIDATES = 8

interface Member {
  readonly id: string
  readonly giver: Giver
  /** Its bit in the sets of holders. */
  readonly bit: number
  readonly latencyMs: number
  readonly listensFromMs: number
  /** How many of the giver's offers were read. */
  read: number
  inFlight: number
  rate: number
  slots: number
  readonly forget: readonly (() => void)[]
}

/** Fetches the missing pieces from parents until nothing is missing or nobody is left: a round of the daemon's. */
export class Gather {
  readonly over: Promise<void>
  #end: () => void = () => undefined
  readonly #taker: Giver
  readonly #deps: GatherDeps
  readonly #signal: AbortSignal
  readonly #members: Member[] = []
  readonly #seen = new Set<string>()
  readonly #transfers = new Set<Transfer>()
  /** Pieces that are neither held nor on their way. */
  readonly #open: OpenPieces
  /** Which members have a piece, a bit each. */
  readonly #holders: Int32Array
  #ended = false
  /** Nothing could be picked, and nobody has become free since. */
  #starved = false
  #wakeAtMs = Number.POSITIVE_INFINITY
  #patience: Timer | undefined

  constructor(taker: Giver, parents: readonly Parent[], deps: GatherDeps, signal: AbortSignal) {
    this.#taker = taker
    this.#deps = deps
    this.#open = new OpenPieces(taker.holdings)
    this.#holders = new Int32Array(taker.holdings.shape.pieceCount)
    const stop = new AbortController()
    this.#signal = AbortSignal.any([signal, stop.signal])
    this.over = new Promise((resolve) => {
      this.#end = () => {
        if (this.#ended) return
        this.#ended = true
        stop.abort()
        this.#leaveAll()
        deps.clock.stir()
        resolve()
      }
    })
    signal.addEventListener('abort', () => this.#end(), { once: true })
    this.#add(parents)
    void this.#grow()
    this.#move()
  }

  #leaveAll(): void {
    this.#patience?.cancel()
    for (const transfer of this.#transfers) transfer.cancel()
    for (const { forget } of this.#members) for (const stop of forget) stop()
  }

  async #grow(): Promise<void> {
    const { clock } = this.#deps
    try {
      for (let waitMs = FIRST_REFRESH_MS; ; waitMs = Math.min(waitMs * 1.5, LAST_REFRESH_MS)) {
        await clock.sleep(waitMs, this.#signal)
        const parents = await this.#deps.refresh(this.#signal)
        if (parents === undefined) return this.#end()
        this.#add(parents)
        this.#move()
      }
    } catch (error) {
      if (!this.#signal.aborted) throw error
    }
  }

  #add(parents: readonly Parent[]): void {
    for (const parent of parents) {
      const giver = this.#deps.giverOf(parent)
      if (giver === undefined || this.#members.length >= MAX_MEMBERS || this.#seen.has(parent.id)) continue
      this.#seen.add(parent.id)
      if (giver.machine.alive) this.#join(parent.id, giver)
    }
  }

  #join(id: string, giver: Giver): void {
    const { clock, wires } = this.#deps
    const latencyMs = wires.latency(giver.machine, this.#taker.machine)
    const used = this.#members.reduce((bits, { bit }) => bits | bit, 0)
    const member: Member = {
      id,
      giver,
      bit: ~used & (used + 1),
      latencyMs,
      listensFromMs: clock.now() + LISTEN_LATENCIES * latencyMs,
      read: 0,
      inFlight: 0,
      rate: 0,
      slots: 1,
      forget: [
        giver.holdings.onOffer(() => this.#wakeFor(member)),
        giver.machine.onDeath(() => clock.timer(latencyMs, () => this.#drop(member))),
      ],
    }
    this.#members.push(member)
    this.#wakeFor(member)
  }

  #drop(member: Member): void {
    const index = this.#members.indexOf(member)
    if (this.#ended || index < 0) return
    this.#members.splice(index, 1)
    for (const stop of member.forget) stop()
    for (let number = 0; number < this.#holders.length; number++) {
      this.#holders[number] = (this.#holders[number] as number) & ~member.bit
    }
    this.#move()
  }

  /** Somebody may have told something new by then, and there is room for another piece. */
  #wakeFor(member: Member): void {
    const { clock } = this.#deps
    if (this.#ended || this.#transfers.size >= this.#deps.concurrentPieces) return
    const atMs = this.#nextNewsMs(member)
    if (atMs >= this.#wakeAtMs) return
    this.#wakeAtMs = atMs
    const fire = (): void => {
      if (this.#ended || this.#wakeAtMs !== atMs) return
      this.#wakeAtMs = Number.POSITIVE_INFINITY
      this.#hear()
    }
    clock.at(atMs, { fire })
  }

  #nextNewsMs(member: Member): number {
    const { holdings } = member.giver
    if (member.read >= holdings.offeredCount) return Number.POSITIVE_INFINITY
    return Math.max((holdings.offeredAtMs[member.read] as number) + member.latencyMs, member.listensFromMs)
  }

  /** Reads what was told; looks for a piece only where the news can have brought one. */
  #hear(): void {
    const usable = this.#readNews()
    if (usable || !this.#starved) this.#move()
    else for (const member of this.#members) this.#wakeFor(member)
  }

  /** True when an open piece is among the news. */
  #readNews(): boolean {
    const nowMs = this.#deps.clock.now()
    let usable = false
    for (const member of this.#members) {
      const { holdings } = member.giver
      while (this.#nextNewsMs(member) <= nowMs) {
        const number = holdings.offered[member.read++] as number
        if (!this.#mayTake(number, member)) continue
        this.#holders[number] = (this.#holders[number] as number) | member.bit
        usable ||= member.inFlight < member.slots && this.#open.has(number)
      }
    }
    return usable
  }

  /** The rest of a broken piece is taken from who has all of it: two halves that wait for each other wait for ever. */
  #mayTake(number: number, { giver }: Member): boolean {
    return this.#taker.holdings.available(number) === 0 || giver.holdings.has(number)
  }

  /** Starts what can be started, and ends the round when it has nothing more to give. */
  #move(): void {
    if (this.#ended) return
    this.#patience?.cancel()
    if (this.#taker.holdings.complete) return this.#end()
    this.#readNews()
    this.#starved = false
    while (this.#transfers.size < this.#deps.concurrentPieces) {
      const choice = this.#pick()
      if (choice === undefined) {
        this.#starved = true
        break
      }
      this.#fetch(choice.number, choice.parent)
    }
    if (this.#starved) for (const member of this.#members) this.#wakeFor(member)
    if (this.#transfers.size > 0) return
    if (this.#members.length === 0) return this.#end()
    this.#patience = this.#deps.clock.timer(PATIENCE_MS, () => this.#end())
  }

  /** The real decision, on the rarest of the pieces that somebody free has: it would not take another one. */
  #pick(): { number: number; parent: Member } | undefined {
    const { random } = this.#deps
    let free = 0
    for (const { bit, inFlight, slots } of this.#members) if (inFlight < slots) free |= bit
    if (free === 0) return undefined
    const open = this.#open.rarest(this.#holders, free, CANDIDATES, random)
    const holders = (number: number): Member[] =>
      this.#members.filter(({ bit }) => ((this.#holders[number] as number) & bit) !== 0)
    return pickPiece<Member>({ open, holders, inOrder: false, random })
  }

  #fetch(number: number, member: Member): void {
    const { clock, wires, askingLatencies } = this.#deps
    const { holdings, machine } = this.#taker
    const startedAtMs = clock.now()
    this.#open.take(number)
    member.inFlight++
    const span = { start: holdings.available(number), end: holdings.lengthOf(number) }
    const over = (): void => {
      member.inFlight--
      this.#transfers.delete(transfer)
    }
    const talk = {
      available: () => member.giver.holdings.available(number),
      arrived: (bytes: number) => holdings.arrived(number, bytes),
      done: () => {
        over()
        this.#held(number, member, clock.now() - startedAtMs)
      },
      broken: () => {
        clock.timer(member.latencyMs, () => {
          over()
          this.#lose(number, member)
        })
      },
    }
    const transfer = new Transfer({ from: member.giver.machine, to: machine }, span, talk, clock, wires)
    this.#transfers.add(transfer)
    member.giver.holdings.onBytes(number, transfer)
    clock.at(startedAtMs + askingLatencies * member.latencyMs, { fire: () => transfer.open() })
  }

  #held(number: number, member: Member, costMs: number): void {
    measure(member, this.#taker.holdings.lengthOf(number), costMs)
    this.#taker.holdings.hold(number)
    this.#deps.held(number, member.id, costMs)
    this.#move()
  }

  #lose(number: number, member: Member): void {
    if (this.#ended) return
    this.#open.giveBack(number)
    this.#holders[number] = this.#members.reduce(
      (bits, one) => (this.#mayTake(number, one) ? bits : bits & ~one.bit),
      this.#holders[number] as number,
    )
    this.#deps.failed(number, member.id)
    this.#drop(member)
    this.#move()
  }
}

/** A parent is asked for as many pieces at once as keep it busy for a moment. */
function measure(member: Member, bytes: number, ms: number): void {
  const rate = bytes / Math.max(ms, 0.1)
  member.rate = member.rate === 0 ? rate : member.rate * 0.7 + rate * 0.3
  member.slots = Math.min(Math.max(Math.ceil(BUSY_MS / Math.max(ms, 0.1)), 1), MAX_SLOTS)
}
