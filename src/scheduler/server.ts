import { implement, schedulerService, serveGrpc, serveHealth } from '#api'
import { messageOf } from '#core'
import { type Logger, Scope } from '#runtime'
import type { AnnouncePeerDeps } from './announce-peer.ts'
import { type Clock, systemClock } from './clock.ts'
import { schedulerHandlers } from './handlers.ts'
import type { Judge } from './rank-parents.ts'
import { grpcSeedClient } from './seed-client.ts'
import type { SchedulerSettings } from './settings.ts'
import { type SchedulerStats, statsOf } from './stats.ts'
import { sweep } from './swarm/expire.ts'
import { Swarm } from './swarm/swarm.ts'
import { type SeedClient, SeedRuns } from './wake-seeds.ts'

export interface SchedulerOptions {
  readonly settings: SchedulerSettings
  readonly log: Logger
  /** How seeds are called; over gRPC when not given. */
  readonly seedClient?: SeedClient
  readonly clock?: Clock
  /** 0 ≤ x < 1; what picks the sample of parents. */
  readonly random?: () => number
  /** Ranks parents in the place of the field's own formula. */
  readonly judge?: Judge | undefined
}

export interface Scheduler extends AsyncDisposable {
  /** `host:port` */
  readonly address: string
  readonly port: number
  stats(): SchedulerStats
}

const SERVICE = 'scheduler.v2.Scheduler'
/** Announcements are short; a download may wait long. */
const LIMITS = { connections: 20_000, callsPerConnection: 10_000, calls: 100_000 }

/** Serves `scheduler.v2.Scheduler` and health. Fails with `config.invalid` when it cannot listen. */
export async function startScheduler(options: SchedulerOptions): Promise<Scheduler> {
  const scope = new Scope()
  try {
    return await start(options, scope)
  } catch (error) {
    await scope[Symbol.asyncDispose]()
    throw error
  }
}

async function start(options: SchedulerOptions, scope: Scope): Promise<Scheduler> {
  const { settings, log, clock = systemClock, random = Math.random, judge } = options
  const swarm = new Swarm({
    hosts: settings.maxHosts,
    tasks: settings.maxTasks,
    peers: settings.maxPeers,
    peersPerTask: settings.maxPeersPerTask,
  })
  const client = options.seedClient ?? scope.own(grpcSeedClient())
  const seeds = scope.own(new SeedRuns({ swarm, client, clock, log, limits: settings }))
  const deps: AnnouncePeerDeps = { swarm, seeds, clock, limits: settings, random, judge, log }
  const server = scope.own(
    await serveGrpc({
      services: [implement(schedulerService, schedulerHandlers(deps, settings)), serveHealth([SERVICE])],
      listen: { host: settings.listen, port: settings.port },
      limits: LIMITS,
      onBug: (error, where) => log.error({ ...where, error: messageOf(error), stack: stackOf(error) }, 'a bug'),
    }),
  )
  scope.own(sweeping(swarm, settings, clock))
  log.info({ address: server.address }, 'the scheduler listens')
  return {
    address: server.address,
    port: server.port,
    stats: () => statsOf(swarm, seeds.count),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  }
}

function sweeping(swarm: Swarm, settings: SchedulerSettings, clock: Clock): Disposable {
  const timer = setInterval(() => void sweep(swarm, settings, clock.now()), settings.gcInterval)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined
}
