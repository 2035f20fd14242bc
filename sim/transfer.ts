import type { Clock, Happening } from './clock.ts'
import type { Link, Machine, Wires } from './links.ts'

/** Bytes that take their turn on a link as one; also the grain of what may be passed on with `--unit block`. */
export const BLOCK_BYTES = 512 * 1024

export interface TransferEnds {
  readonly from: Machine
  readonly to: Machine
}

export interface TransferTalk {
  /** Bytes of the piece, counted from its start, that the giver has by now. */
  available(): number
  /** So many bytes of the piece, counted from its start, have arrived. */
  arrived(bytes: number): void
  done(): void
  /** One of the ends died; told to the other one. */
  broken(): void
}

/** One piece, or the rest of one, on its way: block by block, with a window of blocks under way at once. */
export class Transfer {
  readonly ends: TransferEnds
  readonly #length: number
  readonly #talk: TransferTalk
  readonly #clock: Clock
  readonly #wires: Wires
  readonly #latencyMs: number
  readonly #trunk: Link | undefined
  readonly #window: number
  /** Blocks that have arrived, to be used again: there are tens of millions. */
  readonly #spare: Block[] = []
  #sent: number
  #arrived: number
  #underWay = 0
  #open = false
  #over = false

  /** `start` and `end`: bytes of the piece. */
  constructor(
    ends: TransferEnds,
    span: { readonly start: number; readonly end: number },
    talk: TransferTalk,
    clock: Clock,
    wires: Wires,
  ) {
    this.ends = ends
    this.#length = span.end
    this.#sent = span.start
    this.#arrived = span.start
    this.#talk = talk
    this.#clock = clock
    this.#wires = wires
    this.#latencyMs = wires.latency(ends.from, ends.to)
    this.#trunk = wires.trunk(ends.from, ends.to)
    const fullPipe = Math.min(ends.from.up.rate, ends.to.down.rate) * 2 * this.#latencyMs
    this.#window = 2 + (Number.isFinite(fullPipe) ? Math.ceil(fullPipe / BLOCK_BYTES) : 0)
    ends.from.giving.add(this)
    ends.to.taking.add(this)
  }

  /** The giver knows by now what is asked of it. */
  open(): void {
    this.#open = true
    this.move()
  }

  /** Sends what may be sent now. To be called again when the giver has more. */
  move(): void {
    if (this.#over || !this.#open) return
    const available = this.#talk.available()
    while (this.#underWay < this.#window && this.#sent < available) {
      const bytes = Math.min(BLOCK_BYTES, available - this.#sent)
      this.#sent += bytes
      this.#underWay++
      const leftAtMs = this.ends.from.up.send(bytes, this.#clock.now())
      const block = this.#spare.pop() ?? new Block(this)
      block.bytes = bytes
      block.stretch = this.#trunk === undefined ? 'wire' : 'trunk'
      this.#clock.at(this.#trunk === undefined ? leftAtMs + this.#latencyMs : leftAtMs, block)
    }
  }

  /** One of the ends has died. */
  breakOff(): void {
    if (this.#end()) this.#talk.broken()
  }

  /** The taker wants no more. */
  cancel(): void {
    this.#end()
  }

  /** A block has come to the end of one stretch of its way; answers when it comes to the end of the next one. */
  stepOf(block: Block): void {
    const nowMs = this.#clock.now()
    if (this.#over) {
      if (block.stretch !== 'done') this.#wires.lostBytes += block.bytes
    } else if (block.stretch === 'trunk' && this.#trunk !== undefined) {
      block.stretch = 'wire'
      this.#clock.at(this.#trunk.pass(block.bytes, nowMs) + this.#latencyMs, block)
    } else if (block.stretch === 'wire') {
      block.stretch = 'done'
      const throughAtMs = this.ends.to.down.pass(block.bytes, nowMs)
      if (throughAtMs <= nowMs) this.#arrive(block)
      else this.#clock.at(throughAtMs, block)
    } else {
      this.#arrive(block)
    }
  }

  #arrive(block: Block): void {
    this.#spare.push(block)
    this.#underWay--
    this.#arrived += block.bytes
    this.#talk.arrived(this.#arrived)
    if (this.#arrived < this.#length) return this.move()
    this.#end()
    this.#talk.done()
  }

  #end(): boolean {
    if (this.#over) return false
    this.#over = true
    this.ends.from.giving.delete(this)
    this.ends.to.taking.delete(this)
    return true
  }
}

/** A block, and which stretch of its way it is on. */
class Block implements Happening {
  readonly #transfer: Transfer
  bytes = 0
  stretch: 'trunk' | 'wire' | 'done' = 'wire'

  constructor(transfer: Transfer) {
    this.#transfer = transfer
  }

  fire(): void {
    this.#transfer.stepOf(this)
  }
}
