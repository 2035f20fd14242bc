import { Bits } from './bits.ts'
import type { Run } from './shape.ts'

/** Units of one piece that one member was asked for. */
export interface Ask extends Run {
  readonly member: string
  readonly bytes: number
  readonly askedAtMs: number
}

/** A member is asked for as much as keeps it busy for so long: a slow one does not get to hold all that is rare. */
const BUSY_MS = 60
/**
 * Of a slow one not more than one: the others fill the link meanwhile, and what waits in its queue is not passed on. In
 * the simulation two of each of 24 make a second of queue for every hop, and cost a tenth of the speed.
 */
const MIN_UNITS = 1
const MAX_UNITS = 32
/** Asked for in one go, because it takes no longer than this. */
const RUN_MS = 15
const MAX_RUN = 8
/** An answer that takes so long, and so many times as long as those before, may never come whole. */
const OVERDUE_MS = 2000
const OVERDUE_TIMES = 4
/** The same of who has answered nothing yet. */
const FIRST_OVERDUE_MS = 4000
/** Time of answers over which a rate is taken. Of two that a busy host finds at the same moment, one took no time at all. */
const MEASURE_MS = 20
/** How much the last such time counts in the mean rate. */
const FRESH = 0.3

/** Some numbers, each once, in no order. Who comes upon one that is of no more use takes it out. */
class Places {
  readonly #numbers: number[] = []
  readonly #here = new Bits(32)

  get size(): number {
    return this.#numbers.length
  }

  /** Of 0 to `size - 1`. */
  at(place: number): number {
    return this.#numbers[place] as number
  }

  add(number: number): void {
    if (this.#here.add(number)) this.#numbers.push(number)
  }

  removeAt(place: number): void {
    this.#here.delete(this.at(place))
    const last = this.#numbers.pop() as number
    if (place < this.#numbers.length) this.#numbers[place] = last
  }

  clear(): void {
    this.#numbers.length = 0
    this.#here.clear()
  }
}

/** Somebody who can be asked. */
export class Member {
  readonly id: string
  /** Gives single units; the others give whole pieces only. */
  readonly givesUnits: boolean
  readonly units = new Bits(256)
  /** Where it has units that were open when it told of them: words of `units`. */
  readonly useful = new Places()
  /** Nothing of it is open; until it tells of more, or something is open again. */
  starved = false
  /** Few: a list is cheaper than a set. */
  readonly asks: Ask[] = []
  /** Silent while it was to give: nothing more is asked of it until it goes on. */
  stalled = false
  /** Units asked of it and not yet answered. */
  inFlight = 0
  /** Mean bytes per millisecond; 0 as long as nothing can be said of it. */
  rate = 0
  /** Units in one request. */
  longestRun = 1
  /** Units that may be asked of it at once. */
  #depth = MIN_UNITS
  #lastAnswerMs = 0
  /** What was answered since the rate was taken, and how long that took. */
  #answeredBytes = 0
  #answeredMs = 0
  /** Beside it, that is about to end, the next one may be asked for. */
  #ending: Ask | undefined
  readonly #unitLength: number

  constructor(id: string, givesUnits: boolean, unitLength: number) {
    this.id = id
    this.givesUnits = givesUnits
    this.#unitLength = unitLength
  }

  get hasRoom(): boolean {
    const ending = this.#ending?.count ?? 0
    return !this.stalled && this.inFlight - ending < this.#depth && this.inFlight <= this.#depth
  }

  /** It has a unit that is open now. */
  canUse(unit: number): void {
    this.useful.add(unit >>> 5)
    this.starved = false
  }

  /** Milliseconds until it will have given all that was asked of it, and `more` bytes. */
  expectedMs(more: number): number {
    let bytes = more
    for (const ask of this.asks) bytes += ask.bytes
    return this.rate === 0 || this.stalled ? Number.POSITIVE_INFINITY : bytes / this.rate
  }

  /** Milliseconds for which the answer that comes next has been waited for. */
  waitedMs(nowMs: number): number {
    const [front] = this.asks
    return front === undefined ? 0 : nowMs - Math.max(front.askedAtMs, this.#lastAnswerMs)
  }

  /** Far slower than it was, though perhaps never silent for long. */
  isOverdue(nowMs: number): boolean {
    const [front] = this.asks
    if (front === undefined) return false
    const mostMs = this.rate === 0 ? FIRST_OVERDUE_MS : Math.max(OVERDUE_MS, (OVERDUE_TIMES * front.bytes) / this.rate)
    return this.waitedMs(nowMs) > mostMs
  }

  began(ask: Ask): void {
    this.asks.push(ask)
    this.inFlight += ask.count
  }

  nearlyEnded(ask: Ask): void {
    if (this.asks.includes(ask)) this.#ending = ask
  }

  ended(ask: Ask): boolean {
    const index = this.asks.indexOf(ask)
    if (index < 0) return false
    this.asks.splice(index, 1)
    this.inFlight -= ask.count
    if (ask === this.#ending) this.#ending = undefined
    return true
  }

  /** Answers follow one another on one connection: each took since the one before, or since it was asked for. */
  measure(ask: Ask, nowMs: number): void {
    this.#answeredBytes += ask.bytes
    this.#answeredMs += nowMs - Math.max(ask.askedAtMs, this.#lastAnswerMs)
    this.#lastAnswerMs = nowMs
    if (this.#answeredMs < MEASURE_MS) return
    const rate = this.#answeredBytes / this.#answeredMs
    this.#answeredBytes = 0
    this.#answeredMs = 0
    this.rate = this.rate === 0 ? rate : this.rate * (1 - FRESH) + rate * FRESH
    this.#depth = between(MIN_UNITS, Math.ceil((this.rate * BUSY_MS) / this.#unitLength), MAX_UNITS)
    this.longestRun = between(1, Math.floor((this.rate * RUN_MS) / this.#unitLength), MAX_RUN)
  }
}

function between(least: number, value: number, most: number): number {
  return Math.min(Math.max(value, least), most)
}
