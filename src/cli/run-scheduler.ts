import { isPortTaken } from '#api'
import { Failure } from '#core'
import { evaluatorMetrics, pluginMetrics } from '#plugin'
import { aborted, type Logger, Scope, untilStopped } from '#runtime'
import { type Judge, type Scheduler, schedulerMetrics, schedulerSamples, startScheduler } from '#scheduler'
import type { SchedulerTree } from './daemon-settings.ts'
import { openLongRun, tellReady, warnWhenOpen } from './long-run.ts'
import { openJudge, refuseBrokenPlugins } from './open-judge.ts'

/** The whole life of a scheduler that runs by itself. It keeps nothing on disk but its log. */
export async function runScheduler(settings: SchedulerTree): Promise<void> {
  const stopped = untilStopped()
  await using scope = new Scope()
  const { directories, log, metrics } = await openLongRun('scheduler', settings, scope)
  warnWhenOpen(settings.listen, 'this scheduler', log)
  const places = { ...settings, workhome: directories.workhome, log }
  await refuseBrokenPlugins(places, ['scheduler'])
  const { judge, evaluator } = scope.own(await openJudge(places))
  const scheduler = scope.own(await start(settings, judge, log))
  metrics?.add(schedulerMetrics, () => schedulerSamples(scheduler.stats()))
  metrics?.add(evaluatorMetrics, () => evaluator.samples())
  metrics?.add(pluginMetrics, () => evaluator.callSamples())
  tellReady({ schedulerPort: scheduler.port }, log)
  await aborted(stopped)
  log.info('stopping')
}

async function start(settings: SchedulerTree, judge: Judge, log: Logger): Promise<Scheduler> {
  try {
    return await startScheduler({ settings, judge, log })
  } catch (cause) {
    if (!isPortTaken(cause)) throw cause
    const where = `${settings.listen}:${settings.port}`
    const who = 'another process listens there, perhaps a daemon that runs a scheduler of its own'
    const message = `cannot listen on ${where}: ${who}; stop it, or name another port with --port`
    throw new Failure('config.invalid', message, { cause })
  }
}
