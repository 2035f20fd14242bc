import { join } from 'node:path'
import {
  BlockConnections,
  downloadService,
  type GrpcServer,
  implement,
  isPortTaken,
  openChannel,
  type PieceServer,
  type SchedulerClient,
  schedulerClient,
  serveGrpc,
  serveHealth,
  uploadService,
} from '#api'
import { type HostIdentity, type SettingsOf } from '#core'
import { type Logger, type Sample, Scope } from '#runtime'
import type { Sources } from '#source'
import type { TaskStore } from '#storage'
import { Activity } from './activity.ts'
import { Announcer } from './announce.ts'
import { evictRegularly, type StorageLimits } from './evict.ts'
import { Counts } from './counts.ts'
import { Fetches } from './fetches.ts'
import { Handouts } from './handouts.ts'
import { hostMessage } from './host-message.ts'
import { listenForPieces } from './listen-for-pieces.ts'
import { ParentClients } from './parent-clients.ts'
import { parentLink } from './parent-link.ts'
import type { Planner } from './plan.ts'
import { TokenBucket } from './rate-limit.ts'
import { schedulerPlanner } from './scheduler-planner.ts'
import { downloadHandlers, type ServicesDeps, uploadHandlers } from './services.ts'
import type { daemonSettings } from './settings.ts'
import { type HostKey, hostKey } from './trust.ts'

/** A parent that sends nothing for so long while it should is not waited for: others are asked as well. */
const SILENT_MS = 1000

export interface DaemonDeps {
  readonly settings: SettingsOf<typeof daemonSettings>
  readonly host: HostIdentity
  readonly workhome: string
  readonly store: TaskStore
  readonly storageLimits: StorageLimits
  readonly sources: Sources
  /** Addresses of the schedulers, host:port. */
  readonly schedulers: readonly string[]
  readonly version: string
  readonly log: Logger
}

export interface Daemon extends AsyncDisposable {
  readonly socket: string
  readonly uploadPort: number
  readonly piecePort: number
  /** Milliseconds since this daemon last did anything for anybody; 0 while it works. */
  idleMs(): number
  /** Values of `daemonMetrics`. */
  readonly samples: () => Sample[]
}

/** Builds a daemon: whoever gets one can ask it. Closing it closes everything it opened, in reverse. */
export async function startDaemon(deps: DaemonDeps): Promise<Daemon> {
  const scope = new Scope()
  try {
    return await build(deps, scope)
  } catch (error) {
    await scope[Symbol.asyncDispose]()
    throw error
  }
}

/** What all parts of one daemon count in. */
interface Shared {
  readonly activity: Activity
  readonly counts: Counts
  readonly handouts: Handouts
}

/** What others reach comes first, so that it can be announced; what dfget reaches comes last, when all is ready. */
async function build(deps: DaemonDeps, scope: Scope): Promise<Daemon> {
  const { settings, host, store, log } = deps
  const shared: Shared = { activity: new Activity(), counts: new Counts(), handouts: new Handouts() }
  const key = await hostKey(join(deps.workhome, 'host.key'))
  const schedulers = deps.schedulers.map((address) =>
    schedulerClient(scope.own(openChannel(address, { unavailable: 'scheduler.unavailable' }))),
  )
  const pieces = scope.own(await openPieces(deps, shared))
  let announcer: Announcer | undefined
  const planner = schedulerPlanner({
    host,
    schedulers,
    announce: async () => announcer?.announce({ again: true }),
    scheduleTimeoutMs: settings.scheduler.scheduleTimeout,
    log,
  })
  const fetches = new Fetches(fetchDeps(deps, planner, key, shared.counts, scope))
  const services: ServicesDeps = {
    ...deps,
    ...shared,
    planner,
    fetches,
    isRunning: (task) => fetches.isRunning(task),
    readsLocalFiles: false,
    hostId: host.id,
    seed: host.seed,
    lifetime: lifetimeOf(scope),
    offer: async (task) => announcer?.offer(task),
    forget: (taskId) => forgetTask(schedulers, host.id, taskId),
    leave: async () => announcer?.leave(),
  }
  const upload = scope.own(await openUpload(deps, services, shared, pieces.port))
  announcer = scope.own(
    new Announcer({
      schedulers,
      identity: host,
      host: hostMessage(host, settings.host, upload.port, key.publicKey, deps.version),
      store,
      intervalMs: settings.scheduler.announceInterval,
      log,
    }),
  )
  await announcer.announce()
  scope.own(evictRegularly(store, deps.storageLimits, services.forget, log))
  const socket = settings.socket || join(deps.workhome, 'daemon.sock')
  scope.own(await openDownload(socket, services))
  return {
    socket,
    uploadPort: upload.port,
    piecePort: pieces.port,
    samples: () => shared.counts.samples(store),
    idleMs: () => (fetches.count > 0 ? 0 : shared.activity.idleMs()),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  }
}

function openPieces({ settings, store, log }: DaemonDeps, shared: Shared): Promise<PieceServer> {
  const { upload, listen, download } = settings
  const how = { ...upload, host: listen, idleTimeoutMs: download.pieceTimeout }
  return orAnyPort(upload.piecePort, log, (port) => listenForPieces({ ...how, port }, { store, ...shared }))
}

/** What other hosts and schedulers reach. */
function openUpload(
  { settings, host, store, log }: DaemonDeps,
  services: ServicesDeps,
  { handouts, counts }: Shared,
  port: number,
): Promise<GrpcServer> {
  const sent = (bytes: number): void => counts.add('dragonfly_dfdaemon_upload_bytes_total', bytes)
  const sync = { store, handouts, isRunning: services.isRunning, ip: host.ip, port, sent }
  return orAnyPort(settings.upload.port, log, (at) =>
    serveGrpc({
      services: [
        implement(uploadService, uploadHandlers({ ...services, sync })),
        serveHealth(['dfdaemon.v2.DfdaemonUpload']),
      ],
      listen: { host: settings.listen, port: at },
      onBug: tellBug(log),
    }),
  )
}

/** What dfget reaches. */
function openDownload(path: string, services: ServicesDeps): Promise<GrpcServer> {
  return serveGrpc({
    services: [implement(downloadService, downloadHandlers(services)), serveHealth(['dfdaemon.v2.DfdaemonDownload'])],
    listen: { path },
    stopping: 'daemon.unavailable', // dfget then reads the origin itself
    onBug: tellBug(services.log),
  })
}

function tellBug(log: Logger): (error: unknown) => void {
  return (error) => log.error({ error: String(error) }, 'a call failed by a bug')
}

function fetchDeps(
  deps: DaemonDeps,
  planner: Planner,
  key: HostKey,
  counts: Counts,
  scope: Scope,
): ConstructorParameters<typeof Fetches>[0] {
  const { download, trust } = deps.settings
  const parents = scope.own(new ParentClients())
  const connections = scope.own(
    new BlockConnections({ connectTimeoutMs: 2000, timeoutMs: download.pieceTimeout, silentMs: SILENT_MS }),
  )
  return {
    planner,
    link: parentLink({
      hostId: deps.host.id,
      client: (parent) => parents.client(parent),
      connections,
      pieceTimeoutMs: download.pieceTimeout,
    }),
    signer: { hostId: deps.host.id, key },
    bucket: new TokenBucket(download.rateLimit),
    concurrentPieces: download.concurrentPieces,
    patienceMs: download.patience,
    requireRecords: trust.requireRecords,
    counts,
    log: deps.log,
  }
}

/** Listens at `port`; when somebody else has it, at a free one. */
async function orAnyPort<T>(port: number, log: Logger, listen: (port: number) => Promise<T>): Promise<T> {
  try {
    return await listen(port)
  } catch (error) {
    if (!isPortTaken(error) || port === 0) throw error
    log.warn({ port }, 'the port is taken: listening at a free one instead')
    return listen(0)
  }
}

async function forgetTask(schedulers: readonly SchedulerClient[], hostId: string, taskId: string): Promise<void> {
  await Promise.allSettled(schedulers.map((scheduler) => scheduler.deleteTask({ hostId, taskId }, { timeoutMs: 2000 })))
}

function lifetimeOf(scope: Scope): AbortSignal {
  const controller = new AbortController()
  scope.defer(() => controller.abort())
  return controller.signal
}
