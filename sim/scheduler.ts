import {
  type AnnouncePeerRequest,
  AnnouncePeerResponse,
  type BidiCall,
  type Host as HostMessage,
  type SchedulerClient,
} from '#api'
import { Failure } from '#core'
import { silentLog } from '#runtime'
import { type SchedulerSettings, schedulerHandlers, type SeedClient, SeedRuns, Swarm, sweep } from '#scheduler'
import type { Clock } from './clock.ts'
import { Pipe } from './pipe.ts'
import type { Random } from './random.ts'

export interface SimSchedulerDeps {
  readonly clock: Clock
  readonly settings: SchedulerSettings
  readonly seedClient: SeedClient
  readonly random: Random
}

/** Piece reports ask for no answer: so many of them may wait for the next message that does. */
const REPORTS_AT_ONCE = 256
const NOBODY = { signal: new AbortController().signal, peer: 'sim', metadata: {} }

/** The real scheduler, all of it but its gRPC server: messages reach it after the latency of who sends them. */
export class SimScheduler {
  readonly swarm: Swarm
  readonly #clock: Clock
  readonly #handlers: ReturnType<typeof schedulerHandlers>
  #reports = 0

  constructor({ clock, settings, seedClient, random }: SimSchedulerDeps) {
    this.#clock = clock
    this.swarm = new Swarm({
      hosts: settings.maxHosts,
      tasks: settings.maxTasks,
      peers: settings.maxPeers,
      peersPerTask: settings.maxPeersPerTask,
    })
    const seeds = new SeedRuns({ swarm: this.swarm, client: seedClient, clock, log: silentLog, limits: settings })
    const deps = { swarm: this.swarm, seeds, clock, limits: settings, random, log: silentLog }
    this.#handlers = schedulerHandlers(deps, settings)
    this.#sweepEvery(settings.gcInterval, settings)
  }

  announce(host: HostMessage, intervalMs: number): void {
    this.#clock.stir()
    void this.#handlers.announceHost?.({ host, interval: { seconds: intervalMs / 1000, nanos: 0 } }, NOBODY)
  }

  /** What the planner of a host that is so far away needs of a client. */
  client(latencyMs: number): SchedulerClient {
    const announcePeer = (options?: { signal?: AbortSignal }): Talk => this.#talk(latencyMs, options?.signal)
    return { address: 'scheduler:8002', announcePeer } as unknown as SchedulerClient
  }

  #talk(latencyMs: number, signal: AbortSignal | undefined): Talk {
    const talk = new Talk(this.#clock, latencyMs, (request) => this.#isReport(request))
    signal?.addEventListener('abort', () => talk[Symbol.dispose](), { once: true })
    const answers = this.#handlers.announcePeer?.(talk.requests, { ...NOBODY, signal: talk.hungUp })
    if (answers !== undefined) void talk.relay(answers)
    return talk
  }

  #isReport({ request }: AnnouncePeerRequest): boolean {
    const kind = request?.$case
    if (kind !== 'downloadPieceFinishedRequest' && kind !== 'downloadPieceBackToSourceFinishedRequest') return false
    this.#reports = (this.#reports + 1) % REPORTS_AT_ONCE
    return this.#reports > 0
  }

  #sweepEvery(ms: number, settings: SchedulerSettings): void {
    this.#clock.timer(ms, () => {
      sweep(this.swarm, settings, this.#clock.now())
      this.#sweepEvery(ms, settings)
    })
  }
}

/** One AnnouncePeer call: both directions take the latency. */
class Talk implements BidiCall<AnnouncePeerRequest, AnnouncePeerResponse> {
  readonly requests = new Pipe<AnnouncePeerRequest>()
  readonly responses: AsyncIterableIterator<AnnouncePeerResponse, undefined>
  readonly #answers = new Pipe<AnnouncePeerResponse>()
  readonly #clock: Clock
  readonly #latencyMs: number
  readonly #isReport: (request: AnnouncePeerRequest) => boolean
  readonly #hangUp = new AbortController()

  constructor(clock: Clock, latencyMs: number, isReport: (request: AnnouncePeerRequest) => boolean) {
    this.#clock = clock
    this.#latencyMs = latencyMs
    this.#isReport = isReport
    this.responses = this.#answers[Symbol.asyncIterator]()
  }

  /** As the scheduler's side sees it. */
  get hungUp(): AbortSignal {
    return this.#hangUp.signal
  }

  send(request: AnnouncePeerRequest): Promise<void> {
    const fire = (): void => {
      if (!this.#isReport(request)) this.#clock.stir()
      this.requests.put(request)
    }
    this.#clock.at(this.#clock.now() + this.#latencyMs, { fire })
    return Promise.resolve()
  }

  end(): void {
    this.#later(() => this.requests.end())
  }

  [Symbol.dispose](): void {
    this.#later(() => {
      this.#hangUp.abort(new Failure('download.cancelled', 'the caller hung up'))
      this.requests.end()
    })
  }

  /** Hands on what the scheduler answers. */
  async relay(answers: AsyncIterable<AnnouncePeerResponse>): Promise<void> {
    try {
      for await (const answer of answers) {
        // The scheduler puts parents together as bytes: only who decodes them sees them.
        const heard = AnnouncePeerResponse.decode(AnnouncePeerResponse.encode(answer).finish())
        this.#later(() => this.#answers.put(heard))
      }
      this.#later(() => this.#answers.end())
    } catch (error) {
      this.#later(() => this.#answers.fail(error))
    }
  }

  #later(run: () => void): void {
    this.#clock.timer(this.#latencyMs, run)
  }
}
