import { aborted, Scope, untilStopped } from '#runtime'
import { schedulerMetrics, schedulerSamples, startScheduler } from '#scheduler'
import type { SchedulerTree } from './daemon-settings.ts'
import { openLongRun, tellReady, warnWhenOpen } from './long-run.ts'

/** The whole life of a scheduler that runs by itself. It keeps nothing on disk but its log. */
export async function runScheduler(settings: SchedulerTree): Promise<void> {
  const stopped = untilStopped()
  await using scope = new Scope()
  const { log, metrics } = await openLongRun('scheduler', settings, scope)
  warnWhenOpen(settings.listen, 'this scheduler', log)
  const scheduler = scope.own(await startScheduler({ settings, log }))
  metrics?.add(schedulerMetrics, () => schedulerSamples(scheduler.stats()))
  tellReady({ schedulerPort: scheduler.port }, log)
  await aborted(stopped)
  log.info('stopping')
}
