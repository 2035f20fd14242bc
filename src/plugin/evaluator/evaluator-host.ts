import { setTimeout as sleep } from 'node:timers/promises'
import type { Failure } from '#core'
import type { Sample } from '#runtime'
import { CallBook } from '../apart/call-book.ts'
import { asBroken, type PluginOptions } from '../check.ts'
import { locateEntry } from '../entry.ts'
import { findPlugins, type FoundPlugin, type PluginDir } from '../find.ts'
import type { PluginPolicy } from '../settings.ts'
import type { Verdict } from './check-verdicts.ts'
import { EvaluatorCounts } from './evaluator-metrics.ts'
import { type OpenEvaluator, openEvaluator, type Ranking } from './open-evaluator.ts'
import { TimedEvaluator } from './timed-evaluator.ts'
import { Troubles } from './troubles.ts'

/** The evaluator of a scheduler that runs, and always the newest state of its file. */
export interface EvaluatorHost extends AsyncDisposable {
  /** There is one to ask. */
  readonly loaded: boolean
  /** Undefined where it gives no verdicts in time: then the default ranks. Never fails. */
  judge(ranking: Ranking): Promise<readonly Verdict[] | undefined>
  /** For evaluatorMetrics. */
  samples(): readonly Sample[]
  /** For pluginMetrics. */
  callSamples(): readonly Sample[]
}

export interface EvaluatorHostDeps {
  readonly dirs: readonly PluginDir[]
  readonly options: PluginOptions
  readonly policy: PluginPolicy
  /** What an operator should know: once for each state of the file. */
  warn(message: string): void
  /** What else there is to tell. */
  note(message: string): void
  /** Each line that the evaluator prints. */
  print?(line: string): void
}

/** A replaced file ranks within a second: this, and the time to open it. */
const LOOK_EVERY_MS = 500
/** One that takes longer to open ranks later: a scheduler must not wait for it. */
const FIRST_LOOK_MS = 2000

/** One state of the file, in use. */
interface Generation {
  readonly evaluator: OpenEvaluator
  readonly timed: TimedEvaluator
}

/** Looks for an evaluator now, and again and again from then on. Never fails: what is wrong with one is warned of. */
export async function createEvaluatorHost(deps: EvaluatorHostDeps): Promise<EvaluatorHost> {
  const host = new WatchedEvaluator(deps)
  await Promise.race([host.look(), sleep(FIRST_LOOK_MS, undefined, { ref: false })])
  return host
}

class WatchedEvaluator implements EvaluatorHost {
  readonly #deps: EvaluatorHostDeps
  readonly #book = new CallBook()
  readonly #counts = new EvaluatorCounts()
  readonly #over = new AbortController()
  readonly #retiring = new Set<Promise<void>>()
  /** Directories that were missed are told once. */
  readonly #missed = new Set<string>()
  #current: Generation | undefined
  /** A file that did not work, in the state it had then. */
  #failed: { readonly path: string; readonly stamp: string } | undefined
  #looking: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined

  constructor(deps: EvaluatorHostDeps) {
    this.#deps = deps
  }

  get loaded(): boolean {
    return this.#current !== undefined
  }

  async judge(ranking: Ranking): Promise<readonly Verdict[] | undefined> {
    return this.#current?.timed.judge(ranking)
  }

  samples(): readonly Sample[] {
    return this.#counts.samples(this.loaded)
  }

  callSamples(): readonly Sample[] {
    return this.#book.samples()
  }

  /** Looks at the files, and plans the next look. */
  look(): Promise<void> {
    this.#looking = this.#lookAtFiles().finally(() => {
      if (this.#over.signal.aborted) return
      this.#timer = setTimeout(() => void this.look(), LOOK_EVERY_MS).unref()
    })
    return this.#looking
  }

  async #lookAtFiles(): Promise<void> {
    const found = await this.#find()
    if (found === undefined) {
      this.#failed = undefined
      if (this.#current !== undefined) this.#deps.note('the evaluator was taken away: the scheduler ranks itself')
      return this.#use(undefined)
    }
    const stamp = await locateEntry(found).then(
      (entry) => entry.stamp,
      () => 'unreadable',
    )
    const { plugin } = this.#current?.evaluator ?? {}
    if (plugin?.file === found.path && plugin.stamp === stamp) return
    if (this.#failed?.path === found.path && this.#failed.stamp === stamp) return
    try {
      await this.#open(found)
    } catch (error) {
      this.#failed = { path: found.path, stamp }
      this.#tellFailure(asBroken(found, error))
    }
  }

  async #find(): Promise<FoundPlugin | undefined> {
    const searched = await findPlugins(this.#deps.dirs)
    for (const { dir, problem } of searched) {
      if (problem === undefined || (problem === 'missing' && !dir.given) || this.#missed.has(dir.path)) continue
      this.#missed.add(dir.path)
      const why = problem === 'missing' ? 'does not exist' : `cannot be read: ${problem.reason}`
      this.#deps.warn(`plugin directory ${dir.path} ${why}`)
    }
    return searched.flatMap(({ plugins }) => plugins).find(({ type }) => type === 'scheduler')
  }

  async #open(found: FoundPlugin): Promise<void> {
    const deps = this.#deps
    const troubles = new Troubles(deps)
    const evaluator = await openEvaluator(found, {
      options: deps.options,
      policy: deps.policy,
      book: this.#book,
      warn: (message) => troubles.tell(message, message),
      print: (line) => deps.print?.(line),
    })
    const timed = new TimedEvaluator(evaluator, {
      timeoutMs: deps.policy.evaluatorTimeout,
      onEnd: (outcome, why) => {
        this.#counts.ranked(outcome)
        if (outcome !== 'ok') troubles.tell(outcome, `${evaluator.plugin.name}: ${why}`)
      },
    })
    this.#failed = undefined
    this.#use({ evaluator, timed })
    deps.note(`${evaluator.plugin.name} ranks parents`)
  }

  /** A file in the middle of being written leaves the old one ranking; one that nobody may trust does not. */
  #tellFailure(failure: Failure): void {
    this.#counts.failedToLoad()
    const goesOn = this.#current !== undefined && failure.code !== 'plugin.refused'
    const next = goesOn ? 'the one that was loaded before goes on' : 'the scheduler ranks parents itself'
    this.#deps.warn(`${failure.message}; ${next}`)
    if (!goesOn) this.#use(undefined)
  }

  #use(next: Generation | undefined): void {
    const before = this.#current
    this.#current = next
    if (before === undefined) return
    const retired = this.#retire(before).finally(() => this.#retiring.delete(retired))
    this.#retiring.add(retired)
  }

  /** Rankings that are under way still get its answer. */
  async #retire({ evaluator }: Generation): Promise<void> {
    const longestMs = 2 * this.#deps.policy.evaluatorTimeout
    await sleep(longestMs, undefined, { signal: this.#over.signal, ref: false }).catch(() => undefined)
    await evaluator[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    clearTimeout(this.#timer)
    await this.#looking
    this.#use(undefined)
    await Promise.all(this.#retiring)
  }
}
