import { Failure } from '#core'
import type { FoundPlugin } from '../find.ts'
import { type LoadedPlugin, type OpenOptions, openPlugin } from '../open.ts'
import type { PeerInfo, TaskInfo } from '../sdk.ts'
import { checkVerdicts, type Verdict } from './check-verdicts.ts'

/** What a ranking is about. Plain data: the evaluator gets a frozen copy. */
export interface Ranking {
  readonly parents: readonly PeerInfo[]
  readonly child: PeerInfo
  readonly task: TaskInfo
}

/** An evaluator that passed every check, in a process of its own. */
export interface OpenEvaluator extends AsyncDisposable {
  readonly plugin: LoadedPlugin
  /** Its process runs; between a crash and the next question it does not. */
  readonly running: boolean
  /**
   * A verdict on each parent, in their order. Fails with `plugin.crashed`, `plugin.hung` or `plugin.down` when its
   * process is the trouble, with an InvalidVerdicts for an answer that is none, else with what it threw.
   */
  judge(ranking: Ranking, signal: AbortSignal): Promise<readonly Verdict[]>
}

/** An evaluator that does not react for so long is ended, whatever longer time a source may have. */
const LONGEST_HANG_MS = 2000

/** Opens and checks an evaluator as any plugin. Fails with `plugin.broken`, `plugin.refused` or `config.invalid`. */
export async function openEvaluator(found: FoundPlugin, how: OpenOptions): Promise<OpenEvaluator> {
  if (found.type !== 'scheduler') throw new Failure('usage.invalid', `${found.path} is no evaluator by its name`)
  const hangTimeout = Math.min(how.policy.hangTimeout, LONGEST_HANG_MS)
  const plugin = await openPlugin(found, { ...how, policy: { ...how.policy, hangTimeout } })
  return {
    plugin,
    get running() {
      return plugin.pid !== undefined
    },
    async judge({ parents, child, task }, signal) {
      return checkVerdicts(await plugin.apply('judgeParents', [parents, child, task], signal), parents.length)
    },
    [Symbol.asyncDispose]: () => plugin[Symbol.asyncDispose](),
  }
}
