/** A token bucket as deep as what is asked for at once: what passes it takes its turn, at no more than the rate. */
export class Link {
  /** Bytes per millisecond. */
  readonly rate: number
  bytes = 0
  #freeAtMs = 0

  /** Bytes per second; 0 is no limit. */
  constructor(bytesPerSecond: number) {
    this.rate = bytesPerSecond === 0 ? Number.POSITIVE_INFINITY : bytesPerSecond / 1000
  }

  /** Bytes that are all here now leave one after another, behind those before them: when the last of them has left. */
  send(bytes: number, nowMs: number): number {
    this.bytes += bytes
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + bytes / this.rate
    return this.#freeAtMs
  }

  /** Bytes of which the last comes then, and the others come before it: when the last of them is through. */
  pass(bytes: number, lastAtMs: number): number {
    this.bytes += bytes
    const durationMs = bytes / this.rate
    this.#freeAtMs = Math.max(this.#freeAtMs, lastAtMs - durationMs) + durationMs
    return this.#freeAtMs
  }
}

/** A data centre. */
export type Site = 'a' | 'b'

/** Something that waits for its turn on an uplink. */
interface Sender {
  readonly hasMore: boolean
  isWaiting: boolean
  /** False when there is nothing to send after all. */
  sendNext(): boolean
}

/** A computer with its two links. */
export class Machine {
  readonly name: string
  readonly site: Site
  readonly up: Link
  readonly down: Link
  receivedBytes = 0
  readonly connections = new Set<Sender & { breakOff(): void }>()
  /** Connections that have something to send: one after another, in turn. */
  #waiting: Sender[] = []
  #head = 0
  #sending = false
  readonly #onDeath = new Set<() => void>()
  alive = true

  constructor(name: string, site: Site, rates: { readonly up: number; readonly down: number }) {
    this.name = name
    this.site = site
    this.up = new Link(rates.up)
    this.down = new Link(rates.down)
  }

  /** Its processes die, and the kernel resets their connections. */
  die(): void {
    this.alive = false
    for (const connection of this.connections) connection.breakOff()
    for (const tell of this.#onDeath) tell()
    this.#onDeath.clear()
  }

  /** Something can be sent: at once when the uplink is free. */
  wantsToSend(sender: Sender): void {
    if (sender.isWaiting) return
    sender.isWaiting = true
    this.#waiting.push(sender)
    if (!this.#sending) this.#sendNext()
  }

  /** The uplink is free. */
  hasSent(): void {
    this.#sending = false
    this.#sendNext()
  }

  #sendNext(): void {
    while (this.#head < this.#waiting.length) {
      const sender = this.#waiting[this.#head++] as Sender
      if (this.#head > 64 && this.#head * 2 > this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#head)
        this.#head = 0
      }
      this.#sending = sender.sendNext()
      sender.isWaiting = sender.hasMore
      if (sender.isWaiting) this.#waiting.push(sender)
      if (this.#sending) return
    }
  }

  /** Calls `tell` when it dies, until the answer is called. */
  onDeath(tell: () => void): () => void {
    this.#onDeath.add(tell)
    return () => this.#onDeath.delete(tell)
  }
}

/** What lies between machines. */
export class Wires {
  /** One way, in milliseconds, within a data centre. */
  readonly latencyMs: number
  readonly crossLatencyMs: number
  /** The trunk between the two data centres, one for each way. */
  readonly trunks: Readonly<Record<Site, Link>>
  /** Bytes that were under way when an end of their transfer died. */
  lostBytes = 0

  constructor(options: { readonly latencyMs: number; readonly crossLatencyMs: number; readonly crossRate: number }) {
    this.latencyMs = options.latencyMs
    this.crossLatencyMs = options.crossLatencyMs
    this.trunks = { a: new Link(options.crossRate), b: new Link(options.crossRate) }
  }

  latency(from: Machine, to: Machine): number {
    return from.site === to.site ? this.latencyMs : this.crossLatencyMs
  }

  /** The trunk that bytes from there take first, if any. */
  trunk(from: Machine, to: Machine): Link | undefined {
    return from.site === to.site ? undefined : this.trunks[from.site]
  }
}
