import type { Ask } from '#daemon'
import type { Happening, Timer } from './clock.ts'
import { Connection } from './connection.ts'
import type { GatherDeps, Giver } from './gather.ts'
import { Telling } from './telling.ts'

/** A new stream for what a parent has: TCP, HTTP/2, and the request. The first answer takes one more. */
const ASKING_LATENCIES = 3

/** What a round makes of what happens to one of its parents. */
export interface MemberEvents {
  arrived(ask: Ask): void
  /** Its machine has died. */
  gone(): void
  /** Of pieces that it read from the origin. */
  told(numbers: readonly number[]): void
  /** There is news on its way, after there was none. */
  more(): void
  /** News that was awaited has come. */
  news(): void
  /** It has these units. */
  hears(units: Int32Array): void
}

/** One parent in a round: what it tells, and the connection over which it is asked. */
export class MemberModel implements Happening {
  readonly id: string
  asks: Ask[] = []
  /** When it last brought something, or came. */
  usefulAtMs: number
  readonly #giver: Giver
  readonly #taker: Giver
  readonly #deps: GatherDeps
  readonly #events: MemberEvents
  readonly #telling: Telling
  readonly #latencyMs: number
  #firsthand: { readonly keepsBack: boolean; leave(): void } | undefined
  /** News of what it read from the origin, on their way. */
  #underWay = 0
  readonly #joining: Timer
  readonly #forgetDeath: () => void
  #connection: Connection<Ask> | undefined
  #awaits = false
  #left = false

  constructor(id: string, giver: Giver, taker: Giver, deps: GatherDeps, events: MemberEvents) {
    const { clock, wires } = deps
    this.id = id
    this.usefulAtMs = clock.now()
    this.#giver = giver
    this.#taker = taker
    this.#deps = deps
    this.#events = events
    this.#latencyMs = wires.latency(giver.machine, taker.machine)
    const startMs = clock.now() + ASKING_LATENCIES * this.#latencyMs
    this.#telling = new Telling(giver.holdings, startMs, this.#latencyMs)
    this.#joining = clock.timer(ASKING_LATENCIES * this.#latencyMs, () => this.#listen())
    this.#forgetDeath = giver.machine.onDeath(() => clock.timer(this.#latencyMs, () => events.gone()))
  }

  get busy(): boolean {
    return this.asks.length > 0
  }

  /** It has told all it has, and will have no more. */
  get toldAll(): boolean {
    const { complete } = this.#giver.holdings
    return complete && this.#telling.toldAll && this.#firsthand?.keepsBack === false && this.#underWay === 0
  }

  /** Takes in the news that have come by now. */
  hear(): void {
    const units = this.#telling.read(this.#deps.clock.now())
    if (units !== undefined) this.#events.hears(units)
  }

  /** `news` is called with its next news. */
  awaitNews(): void {
    if (this.#awaits) return
    this.#awaits = true
    const dueAtMs = this.#telling.dueAtMs()
    if (dueAtMs === Number.POSITIVE_INFINITY) this.#giver.holdings.onceMore(this)
    else this.#deps.clock.at(dueAtMs, this)
  }

  fire(): void {
    this.#awaits = false
    if (this.#left) return
    if (this.#telling.dueAtMs() <= this.#deps.clock.now()) this.#events.news()
    else this.#events.more()
  }

  ask(ask: Ask): void {
    this.asks.push(ask)
    this.#connection ??= this.#connect()
    this.#connection.ask(ask, ask.bytes)
  }

  came(ask: Ask): void {
    this.usefulAtMs = this.#deps.clock.now()
    this.asks.splice(this.asks.indexOf(ask), 1)
  }

  /** Resets the connection; the next ask makes another one. Answers what was asked for on it. */
  callOff(): readonly Ask[] {
    const { asks } = this
    this.asks = []
    this.#connection?.close()
    this.#connection = undefined
    return asks
  }

  leave(): void {
    this.#left = true
    this.#joining.cancel()
    this.#forgetDeath()
    this.#firsthand?.leave()
    this.callOff()
  }

  #connect(): Connection<Ask> {
    const { clock, wires } = this.#deps
    const { firsthand } = this.#giver.holdings
    const talk = {
      asked: ({ piece, first, count }: Ask) => firsthand.asked(piece, first, count),
      sent: ({ piece, count }: Ask) => firsthand.sent(piece, count),
      arrived: (ask: Ask) => this.#events.arrived(ask),
      broken: () => undefined, // its death is heard of anyway
    }
    return new Connection({ from: this.#giver.machine, to: this.#taker.machine }, talk, clock, wires)
  }

  #listen(): void {
    const { clock } = this.#deps
    const { holdings } = this.#taker
    const missing = new Set<number>()
    for (let number = 0; number < holdings.shape.pieceCount; number++) if (!holdings.has(number)) missing.add(number)
    this.#firsthand = this.#giver.holdings.firsthand.join({
      asked: (number) => missing.has(number),
      told: (numbers) => {
        for (const number of numbers) missing.delete(number)
        this.#underWay++
        const fire = (): void => {
          this.#underWay--
          if (!this.#left) this.#events.told(numbers)
        }
        clock.at(clock.now() + this.#latencyMs, { fire })
      },
    })
  }
}
