import type { Clock, Happening } from './clock.ts'
import type { Link, Machine, Wires } from './links.ts'

/** Latencies that pass until the first request on a new connection reaches the giver; later ones take one. */
const CONNECTING_LATENCIES = 3

/** What the two ends of a connection make of it. */
export interface ConnectionTalk<A> {
  /** The giver was asked. */
  asked(what: A): void
  /** It has left the giver. */
  sent(what: A): void
  arrived(what: A): void
  /** One of the machines died: nothing more comes. */
  broken(): void
}

/** A kept connection: the taker asks for bytes, several times at once, and they come in that order. */
export class Connection<A> {
  readonly from: Machine
  readonly to: Machine
  readonly #talk: ConnectionTalk<A>
  readonly #clock: Clock
  readonly #wires: Wires
  readonly #latencyMs: number
  readonly #trunk: Link | undefined
  readonly #openAtMs: number
  readonly #asked: Delivery<A>[] = []
  closed = false
  /** In the giver's ring of those that wait for its uplink. */
  isWaiting = false

  constructor(
    ends: { readonly from: Machine; readonly to: Machine },
    talk: ConnectionTalk<A>,
    clock: Clock,
    wires: Wires,
  ) {
    this.from = ends.from
    this.to = ends.to
    this.#talk = talk
    this.#clock = clock
    this.#wires = wires
    this.#latencyMs = wires.latency(ends.from, ends.to)
    this.#trunk = wires.trunk(ends.from, ends.to)
    this.#openAtMs = clock.now() + CONNECTING_LATENCIES * this.#latencyMs
    ends.from.connections.add(this)
    ends.to.connections.add(this)
  }

  ask(what: A, bytes: number): void {
    const atMs = Math.max(this.#clock.now() + this.#latencyMs, this.#openAtMs)
    this.#clock.at(atMs, new Delivery(this, what, bytes))
  }

  /** The taker wants nothing of it any more. */
  close(): void {
    this.closed = true
    this.#asked.length = 0
    this.from.connections.delete(this)
    this.to.connections.delete(this)
  }

  /** One of the ends has died. */
  breakOff(): void {
    if (this.closed) return
    this.close()
    this.#talk.broken()
  }

  /** The next one leaves. False when nothing is to be sent. */
  sendNext(): boolean {
    const delivery = this.#asked.shift()
    if (delivery === undefined) return false
    delivery.stretch = 'leaving'
    this.#clock.at(this.from.up.send(delivery.bytes, this.#clock.now()), delivery)
    return true
  }

  get hasMore(): boolean {
    return this.#asked.length > 0
  }

  /** A delivery has come to the end of one stretch of its way; answers when it comes to the end of the next one. */
  stepOf(delivery: Delivery<A>): void {
    const { stretch, bytes, what } = delivery
    if (stretch === 'asking') {
      if (this.closed) return
      this.#talk.asked(what)
      this.#asked.push(delivery)
      this.from.wantsToSend(this)
      return
    }
    if (stretch === 'leaving') this.from.hasSent()
    if (this.closed) {
      this.#wires.lostBytes += bytes
    } else if (stretch === 'leaving') {
      this.#talk.sent(what)
      if (this.#trunk === undefined) this.#comeDown(delivery)
      else {
        delivery.stretch = 'crossing'
        this.#clock.at(this.#trunk.pass(bytes, this.#clock.now()), delivery)
      }
    } else if (stretch === 'crossing') {
      this.#comeDown(delivery)
    } else {
      this.to.receivedBytes += bytes
      this.#talk.arrived(what)
    }
  }

  #comeDown(delivery: Delivery<A>): void {
    delivery.stretch = 'arriving'
    this.#clock.at(this.to.down.pass(delivery.bytes, this.#clock.now() + this.#latencyMs), delivery)
  }
}

/** What was asked for at once, and which stretch of its way it is on. */
class Delivery<A> implements Happening {
  readonly #connection: Connection<A>
  readonly what: A
  readonly bytes: number
  stretch: 'asking' | 'leaving' | 'crossing' | 'arriving' = 'asking'

  constructor(connection: Connection<A>, what: A, bytes: number) {
    this.#connection = connection
    this.what = what
    this.bytes = bytes
  }

  fire(): void {
    this.#connection.stepOf(this)
  }
}
