import { join } from 'node:path'
import { isPortTaken } from '#api'
import { Failure } from '#core'
import { type Daemon, daemonMetrics, hostIdentity, startDaemon } from '#daemon'
import { evaluatorMetrics, pluginMetrics } from '#plugin'
import { aborted, type FileLock, lockFile, type Logger, Scope, untilStopped, VERSION } from '#runtime'
import { type Judge, type Scheduler, schedulerMetrics, schedulerSamples, startScheduler } from '#scheduler'
import { openTaskStore } from '#storage'
import type { DaemonTree } from './daemon-settings.ts'
import { isDaemonUp, socketPath } from './daemon-socket.ts'
import { openLongRun, tellReady, warnWhenOpen, writePid } from './long-run.ts'
import { openJudge, refuseBrokenPlugins } from './open-judge.ts'
import { openSources } from './open-sources.ts'

const LOCK_POLL_MS = 100
const LOCK_WAIT_MS = 5000
const MOST_IDLE_CHECK_MS = 5000

/** The whole life of a daemon: open everything in order, serve until told to stop, close in reverse. */
export async function runDaemon(settings: DaemonTree, launched: boolean): Promise<void> {
  const stopped = untilStopped()
  await using scope = new Scope()
  const { directories, log, metrics } = await openLongRun('daemon', settings, scope)
  const { workhome } = directories
  const socket = settings.socket || socketPath(workhome)
  const lock = await takePlace(join(workhome, 'daemon.lock'), socket)
  if (lock === undefined) {
    process.stdout.write('the daemon is running, so there is no need to start it again\n')
    if (launched) return
    const message = `a daemon runs in ${workhome} already, and what you asked of this one is not done`
    throw new Failure('daemon.running', message)
  }
  scope.own(lock)
  warnWhenOpen(settings.listen, 'the files and the bandwidth of this daemon', log)

  const warn = (message: string): void => log.warn(message)
  const dir = settings.storage.dir || join(workhome, 'storage')
  const store = scope.own(await openTaskStore({ dir, bufferBytes: settings.storage.bufferMemory, warn }))
  const storageLimits = { capacityBytes: settings.storage.capacity, idleMs: settings.storage.taskTtl }
  const embeds = settings.scheduler.addrs.length === 0
  const places = { ...settings, workhome, log }
  await refuseBrokenPlugins(places, embeds ? ['resource', 'scheduler'] : ['resource'])
  const { sources, plugins } = scope.own(openSources(places))
  const ranking = embeds ? scope.own(await openJudge(places)) : undefined
  const embedded = embeds ? scope.own(await embedScheduler(settings, ranking?.judge, log)) : undefined
  const schedulers = embedded === undefined ? settings.scheduler.addrs : [embedded.address]
  const host = hostIdentity({ ...settings, seed: settings.seed || embedded !== undefined })
  const daemon = scope.own(
    await startDaemon({ settings, host, workhome, store, storageLimits, sources, schedulers, version: VERSION, log }),
  )

  metrics?.add(daemonMetrics, daemon.samples)
  metrics?.add(pluginMetrics, () => [...plugins.samples(), ...(ranking?.evaluator.callSamples() ?? [])])
  if (ranking !== undefined) metrics?.add(evaluatorMetrics, () => ranking.evaluator.samples())
  if (embedded !== undefined) metrics?.add(schedulerMetrics, () => schedulerSamples(embedded.stats()))
  writePid(join(workhome, 'daemon.pid'), scope)
  const { uploadPort, piecePort } = daemon
  tellReady({ socket, uploadPort, piecePort, ...(embedded && { schedulerPort: embedded.port }), host: host.id }, log)
  await aborted(AbortSignal.any([stopped, idleFor(daemon, settings.aliveTime, scope, log)]))
  log.info('stopping')
}

/**
 * The lock of the one daemon of a work home. Undefined when a daemon that answers has it; fails with
 * `daemon.unavailable` when one that does not answer keeps it.
 */
async function takePlace(path: string, socket: string): Promise<FileLock | undefined> {
  for (let waitedMs = 0; waitedMs < LOCK_WAIT_MS; waitedMs += LOCK_POLL_MS) {
    const lock = await lockFile(path, { waitMs: LOCK_POLL_MS })
    if (lock !== undefined) return lock
    if (await isDaemonUp(socket)) return undefined
  }
  throw new Failure('daemon.unavailable', `the daemon is unhealthy: a process holds ${path} and does not answer`)
}

/** The scheduler of a daemon that was told of none: whoever knows its port can join. */
async function embedScheduler(settings: DaemonTree, judge: Judge | undefined, parentLog: Logger): Promise<Scheduler> {
  const { embeddedScheduler, listen } = settings
  const { port } = embeddedScheduler
  const log = parentLog.child({ part: 'scheduler' })
  const start = (at: number): Promise<Scheduler> =>
    startScheduler({ settings: { ...embeddedScheduler, listen, port: at }, judge, log })
  try {
    return await start(port)
  } catch (error) {
    if (!isPortTaken(error) || port === 0) throw error
    log.warn({ port }, 'the port of the scheduler is taken: it listens at a free one instead')
    return start(0)
  }
}

/** Aborted when the daemon had nothing to do for so long; never for 0. */
function idleFor(daemon: Daemon, aliveTimeMs: number, scope: Scope, log: Logger): AbortSignal {
  const controller = new AbortController()
  if (aliveTimeMs === 0) return controller.signal
  const check = (): void => {
    if (daemon.idleMs() < aliveTimeMs) return
    log.info({ aliveTimeMs }, 'nothing to do for so long: the daemon stops')
    controller.abort()
  }
  const timer = setInterval(check, Math.min(MOST_IDLE_CHECK_MS, Math.ceil(aliveTimeMs / 4)))
  scope.defer(() => clearInterval(timer))
  return controller.signal
}
