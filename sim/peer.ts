import type { Host as HostMessage, SchedulerClient } from '#api'
import { hostMessage, type Parent, type PlanSession, schedulerPlanner } from '#daemon'
import { hostId, type HostIdentity, versionOf } from '#core'
import { silentLog } from '#runtime'
import type { Clock } from './clock.ts'
import { Gather, type GatherDeps, type Giver } from './gather.ts'
import { type FileShape, Holdings } from './holdings.ts'
import type { Machine, Wires } from './links.ts'
import type { Random } from './random.ts'
import { gatherForReal } from './real-round.ts'

export const TASK_ID = 'a'.repeat(64)
const ETAG = '"1"'
const VERSION = versionOf({ etag: ETAG })
const URL = 'http://origin/file'
/** As in src/daemon/fetch.ts: so many plans in a row without one new piece, then the source. */
const FRUITLESS_PLANS = 5
const SCHEDULE_TIMEOUT_MS = 60_000

export interface PeerDeps extends Pick<GatherDeps, 'concurrentPieces'> {
  readonly clock: Clock
  readonly wires: Wires
  readonly shape: FileShape
  readonly round: 'model' | 'real'
  readonly scheduler: SchedulerClient
  readonly origin: Machine
  readonly random: Random
  /** The peer that a plan names. */
  peerOf(peerId: string): Giver | undefined
  /** Its session has begun: plans may name it from now on. */
  registered(peerId: string, peer: SimPeer): void
}

/** One host's download of the file: plan, fetch, and plan again, as src/daemon/fetch.ts does, with the real planner. */
export class SimPeer implements Giver {
  readonly machine: Machine
  readonly holdings: Holdings
  readonly identity: HostIdentity
  readonly #deps: PeerDeps
  readonly #life = new AbortController()
  joinedAtMs = 0
  doneAtMs: number | undefined
  readSource = false

  constructor(machine: Machine, index: number, seed: boolean, deps: PeerDeps) {
    this.machine = machine
    this.holdings = new Holdings(deps.shape, deps.clock)
    this.#deps = deps
    const ip = `10.${index >>> 16}.${(index >>> 8) & 255}.${index & 255}`
    this.identity = { id: hostId(ip, machine.name, seed), ip, hostname: machine.name, seed }
  }

  /** How its host announces itself. */
  get message(): HostMessage {
    const key = new Uint8Array(32).fill(1)
    return hostMessage(this.identity, { idc: this.machine.site, location: '' }, 4000, key, 'sim')
  }

  /** Gone without a word. */
  die(): void {
    this.#life.abort()
    this.machine.die()
  }

  /** Brings every piece here. Rejects only for a bug. */
  async download(): Promise<void> {
    const { clock, scheduler } = this.#deps
    const { signal } = this.#life
    this.joinedAtMs = clock.now()
    const planner = schedulerPlanner({
      host: this.identity,
      schedulers: [scheduler],
      announce: () => Promise.resolve(),
      scheduleTimeoutMs: SCHEDULE_TIMEOUT_MS,
      log: silentLog,
    })
    await using session = planner.begin(this.#registration())
    this.#deps.registered(session.peerId, this)
    try {
      await this.#fetchAll(session, signal)
      this.doneAtMs = clock.now()
      clock.stir()
      await session.finish({ contentLength: this.holdings.shape.bytes })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #fetchAll(session: PlanSession, signal: AbortSignal): Promise<void> {
    let fruitless = 0
    while (!this.holdings.complete) {
      const before = this.holdings.heldBytes
      const plan = fruitless < FRUITLESS_PLANS ? await session.next(signal) : undefined
      if (plan?.kind === 'parents') await this.#gather(plan.parents, session, signal)
      else await this.#readOrigin(session, signal)
      signal.throwIfAborted()
      fruitless = this.holdings.heldBytes > before ? 0 : fruitless + 1
    }
  }

  #gather(parents: readonly Parent[], session: PlanSession, signal: AbortSignal): Promise<void> {
    const deps: GatherDeps = {
      ...this.#deps,
      giverOf: ({ id }) => this.#deps.peerOf(id),
      held: (number, parentId, costMs) => this.#tell(session, number, parentId, costMs),
      failed: (number, parentId) => session.failed(number, parentId, { corrupt: false }),
      async refresh(stop) {
        const plan = await session.refresh?.(stop)
        return plan?.kind === 'parents' ? plan.parents : undefined
      },
    }
    if (this.#deps.round === 'real') return gatherForReal(this, parents, deps, signal)
    return new Gather(this, parents, deps, signal).over
  }

  /** The missing pieces, one after another, in one stream. */
  async #readOrigin(session: PlanSession, signal: AbortSignal): Promise<void> {
    this.readSource = true
    for (let number = 0; number < this.holdings.shape.pieceCount; number++) {
      if (this.holdings.has(number)) continue
      const startedAtMs = this.#deps.clock.now()
      await this.#readPiece(number)
      signal.throwIfAborted()
      this.holdings.read(number)
      this.#tell(session, number, '', this.#deps.clock.now() - startedAtMs)
    }
  }

  /** Resolves when it came, or the host died. */
  #readPiece(number: number): Promise<void> {
    const { clock, wires, origin } = this.#deps
    const length = this.holdings.lengthOf(number)
    const leftAtMs = origin.up.send(length, clock.now())
    const arrivedAtMs = this.machine.down.pass(length, leftAtMs)
    const latencyMs = number === 0 ? wires.latency(origin, this.machine) : 0 // one stream: only the first one waits
    return clock.sleep(arrivedAtMs + latencyMs - clock.now()).then(() => {
      this.machine.receivedBytes += length
    })
  }

  #tell(session: PlanSession, number: number, parentId: string, costMs: number): void {
    session.held({
      number,
      offset: number * this.holdings.shape.pieceLength,
      length: this.holdings.lengthOf(number),
      crc32: 0,
      blocks: NO_BLOCKS,
      signature: undefined,
      parentId,
      traffic: parentId === '' ? 'source' : 'peer',
      costMs,
      createdAt: this.#deps.clock.now(),
    })
  }

  #registration(): Parameters<ReturnType<typeof schedulerPlanner>['begin']>[0] {
    const { bytes, pieceLength } = this.holdings.shape
    return {
      taskId: TASK_ID,
      url: URL,
      headers: {},
      tag: '',
      application: '',
      filteredQueryParams: [],
      requestedPieceLength: undefined,
      found: { contentLength: bytes, pieceLength, version: VERSION, etag: ETAG, lastModified: '', headers: {} },
      range: undefined,
      disableBackSource: false,
      needBackSource: this.identity.seed,
    }
  }
}

const NO_BLOCKS = new Uint8Array(0)
