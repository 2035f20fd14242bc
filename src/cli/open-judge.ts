import {
  createEvaluatorHost,
  type EvaluatorHost,
  type PluginPolicy,
  type PluginType,
  pluginDirs,
  refuseBroken,
} from '#plugin'
import type { Logger } from '#runtime'
import type { Judge } from '#scheduler'
import { rankingOf } from './peer-info.ts'

/** Where plugins are, what they are told, and what they may. */
export interface PluginPlaces {
  readonly plugins: Readonly<Record<string, unknown>>
  readonly pluginPolicy: PluginPolicy
  readonly pluginDirs: readonly string[]
  readonly workhome: string
  readonly log: Logger
}

export interface OpenJudge extends AsyncDisposable {
  readonly judge: Judge
  readonly evaluator: EvaluatorHost
}

/** The evaluator plugin of a scheduler, which is looked for all the time. Without one the scheduler ranks itself. */
export async function openJudge(places: PluginPlaces): Promise<OpenJudge> {
  const { log } = places
  const evaluator = await createEvaluatorHost({
    dirs: pluginDirs({ given: places.pluginDirs, workhome: places.workhome }),
    options: places.plugins,
    policy: places.pluginPolicy,
    warn: (message) => log.warn(message),
    note: (message) => log.info(message),
    print: (line) => log.info({ plugin: 'evaluator' }, line),
  })
  return {
    evaluator,
    // What it is told is only put together when there is somebody to tell.
    judge: (parents, child) => (evaluator.loaded ? evaluator.judge(rankingOf(parents, child)) : undefined),
    [Symbol.asyncDispose]: () => evaluator[Symbol.asyncDispose](),
  }
}

/** With `pluginPolicy.strict`: fails when a plugin that a program would use, by its type, cannot be used. */
export async function refuseBrokenPlugins(places: PluginPlaces, types: readonly PluginType[]): Promise<void> {
  const { plugins: options, pluginPolicy: policy, log } = places
  if (!policy.strict) return
  const dirs = pluginDirs({ given: places.pluginDirs, workhome: places.workhome })
  await refuseBroken({ dirs, options, policy, types, warn: (message) => log.warn(message) })
}
