import { pieceCount } from '#core'
import { borrowTime } from './borrowed-time.ts'
import { Clock } from './clock.ts'
import { Machine, type Site, Wires } from './links.ts'
import type { SimOptions } from './options.ts'
import { type PeerDeps, SimPeer } from './peer.ts'
import { randomOf, sample } from './random.ts'
import { boundMs } from './report.ts'
import { SimScheduler } from './scheduler.ts'

/** How often a host announces itself, as the daemon does. */
const ANNOUNCE_MS = 60_000
/** How often is looked at what the peers have: so many times within the bound. */
const SAMPLES_IN_BOUND = 24
/** A simulation that takes longer than this many bounds, and some time to boot, hangs. */
const MOST_BOUNDS = 100
const BOOT_MS = 600_000

/** What came of one peer. */
export interface PeerOutcome {
  readonly site: Site
  readonly left: boolean
  readonly joinedAtMs: number
  /** Undefined when it has not got everything. */
  readonly doneAtMs: number | undefined
  readonly pieces: number
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly readSource: boolean
}

export interface Outcome {
  readonly options: SimOptions
  readonly peers: readonly PeerOutcome[]
  readonly seed: PeerOutcome
  readonly originBytes: number
  /** From the first data centre to the second, and back. */
  readonly crossBytes: readonly [number, number]
  /** Sent, and never received: an end had died. */
  readonly lostBytes: number
  readonly endedAtMs: number
  /** Bytes that each peer had at these times. */
  readonly progress: { readonly atMs: readonly number[]; readonly heldBytes: readonly Float64Array[] }
}

/** Runs one swarm to its end. The same options give the same outcome. */
export async function simulate(options: SimOptions): Promise<Outcome> {
  const clock = new Clock()
  using _time = borrowTime(clock, randomOf(options.seed, 'everybody'))
  const net = new Net(options, clock)
  net.begin()
  await clock.run(() => net.over, options.joinOverMs + MOST_BOUNDS * boundMs(options) + BOOT_MS)
  return net.outcome()
}

class Net {
  readonly #options: SimOptions
  readonly #clock: Clock
  readonly #wires: Wires
  readonly #origin: Machine
  readonly #scheduler: SimScheduler
  readonly #byPlan = new Map<string, SimPeer>()
  readonly #peers: SimPeer[]
  readonly #seed: SimPeer
  readonly #leavers: Set<number>
  readonly #progress: { atMs: number[]; heldBytes: Float64Array[] } = { atMs: [], heldBytes: [] }
  #bug: { readonly error: unknown } | undefined
  #staying: SimPeer[] = []

  constructor(options: SimOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.#wires = new Wires(options)
    this.#origin = new Machine('origin', 'a', { up: options.originRate, down: 0 })
    this.#scheduler = new SimScheduler({
      clock,
      settings: options.scheduler,
      random: randomOf(options.seed, 'scheduler'),
      seedClient: { download: () => this.#wakeSeed() },
    })
    const { seedRate: up } = options
    this.#seed = new SimPeer(new Machine('seed', 'a', { up, down: 0 }), 0, true, this.#deps(0, 'a'))
    this.#peers = Array.from({ length: options.peers }, (_, index) => this.#newPeer(index))
    const leaving = Math.round(options.peers * options.leave)
    this.#leavers = sample(options.peers, leaving, randomOf(options.seed, 'who leaves'))
    this.#staying = this.#peers.filter((_, index) => !this.#leavers.has(index))
  }

  /** Whoever has not left has everything. */
  get over(): boolean {
    if (this.#bug !== undefined) throw this.#bug.error
    while (this.#staying.at(-1)?.doneAtMs !== undefined) this.#staying.pop()
    return this.#staying.length === 0
  }

  begin(): void {
    const { joinOverMs, seed } = this.#options
    const joins = randomOf(seed, 'when they join')
    const leaves = randomOf(seed, 'when they leave')
    this.#announce(this.#seed)
    for (const [index, peer] of this.#peers.entries()) {
      const joinAtMs = joins() * joinOverMs
      this.#clock.timer(joinAtMs, () => {
        this.#announce(peer)
        this.#start(peer)
      })
      if (!this.#leavers.has(index)) continue
      this.#clock.timer(joinAtMs + leaves() * boundMs(this.#options), () => peer.die())
    }
    this.#lookEvery(boundMs(this.#options) / SAMPLES_IN_BOUND)
  }

  outcome(): Outcome {
    const { trunks, lostBytes } = this.#wires
    this.#look()
    return {
      options: this.#options,
      peers: this.#peers.map((peer, index) => outcomeOf(peer, this.#leavers.has(index))),
      seed: outcomeOf(this.#seed, false),
      originBytes: this.#origin.up.bytes,
      crossBytes: [trunks.a.bytes, trunks.b.bytes],
      lostBytes,
      endedAtMs: this.#clock.now(),
      progress: this.#progress,
    }
  }

  #newPeer(index: number): SimPeer {
    const { peerUpRate: up, peerDownRate: down, twoSites } = this.#options
    const site = twoSites && index % 2 === 1 ? 'b' : 'a'
    return new SimPeer(new Machine(`peer-${index}`, site, { up, down }), index + 1, false, this.#deps(index + 1, site))
  }

  #deps(index: number, site: Site): PeerDeps {
    const { fileBytes, pieceLength, unitLength, latencyMs, crossLatencyMs, round, concurrentPieces, seed } =
      this.#options
    return {
      clock: this.#clock,
      wires: this.#wires,
      shape: { bytes: fileBytes, pieceLength, pieceCount: pieceCount(fileBytes, pieceLength), unitLength },
      round,
      scheduler: this.#scheduler.client(site === 'a' ? latencyMs : crossLatencyMs),
      origin: this.#origin,
      random: randomOf(seed, `peer ${index}`),
      concurrentPieces,
      peerOf: (peerId) => this.#byPlan.get(peerId),
      registered: (peerId, peer) => this.#byPlan.set(peerId, peer),
    }
  }

  async #wakeSeed(): Promise<void> {
    await this.#clock.sleep(this.#options.latencyMs)
    if (!this.#seed.holdings.complete) await this.#seed.download()
    await this.#clock.sleep(this.#options.latencyMs)
  }

  #start(peer: SimPeer): void {
    peer.download().catch((error: unknown) => {
      this.#bug = { error }
    })
  }

  #announce(peer: SimPeer): void {
    if (!peer.machine.alive) return
    this.#scheduler.announce(peer.message, ANNOUNCE_MS)
    this.#clock.timer(ANNOUNCE_MS, () => this.#announce(peer))
  }

  #lookEvery(ms: number): void {
    this.#look()
    this.#clock.timer(ms, () => this.#lookEvery(ms))
  }

  #look(): void {
    this.#progress.atMs.push(this.#clock.now())
    this.#progress.heldBytes.push(Float64Array.from(this.#peers, ({ holdings }) => holdings.heldBytes))
  }
}

function outcomeOf(peer: SimPeer, left: boolean): PeerOutcome {
  const { machine, holdings, joinedAtMs, doneAtMs, readSource } = peer
  return {
    site: machine.site,
    left,
    joinedAtMs,
    doneAtMs,
    pieces: holdings.heldCount,
    sentBytes: machine.up.bytes,
    receivedBytes: machine.receivedBytes,
    readSource,
  }
}
