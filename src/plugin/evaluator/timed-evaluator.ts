import { Failure } from '#core'
import { thrownMessage } from '../one-line.ts'
import { InvalidVerdicts, type Verdict } from './check-verdicts.ts'
import type { OpenEvaluator, Ranking } from './open-evaluator.ts'
import { Turns } from './turns.ts'

/** How a ranking ended. `skipped`: it was not asked, for an earlier answer is overdue or too many wait for one. */
export type Outcome = 'ok' | 'threw' | 'invalid' | 'late' | 'down' | 'skipped'

export interface TimedOptions {
  /** How long a ranking may take, and how long it may wait for its turn before. */
  readonly timeoutMs: number
  /** Once for each ranking, with the reason where it did not go well. */
  onEnd(outcome: Outcome, why: string): void
}

/** Answers that are under way at once: enough to keep its process at work, few enough to be in time. */
const AT_ONCE = 4
const MOST_WAITING = 1000
/** An answer that is overdue for so long is not waited for any more: the next one is asked for. */
const OVERDUE_MS = 2000

/** Asks an evaluator, and waits for it no longer than it may take. Never fails. */
export class TimedEvaluator {
  readonly #evaluator: OpenEvaluator
  readonly #options: TimedOptions
  readonly #turns = new Turns({ atOnce: AT_ONCE, mostWaiting: MOST_WAITING })
  /** Answers that nobody waits for any more. While there are any, nothing is asked. */
  #overdue = 0

  constructor(evaluator: OpenEvaluator, options: TimedOptions) {
    this.#evaluator = evaluator
    this.#options = options
  }

  /** The verdicts, or undefined when they are not there in time, or none. */
  async judge(ranking: Ranking): Promise<readonly Verdict[] | undefined> {
    const { timeoutMs } = this.#options
    if (this.#overdue > 0) return this.#end('skipped', 'an answer is overdue')
    if (!(await this.#turns.take(timeoutMs))) return this.#end('skipped', 'it is asked more than it answers')
    if (this.#overdue > 0) {
      this.#turns.give()
      return this.#end('skipped', 'an answer is overdue')
    }
    const { running } = this.#evaluator
    const over = new AbortController()
    const answer = this.#ask(ranking, over.signal)
    // Asking is what starts its process anew, and that takes longer than a ranking may.
    const judged = running ? await within(timeoutMs, answer) : undefined
    if (judged !== undefined) return this.#ended(judged)
    this.#goOnWithout(answer, over)
    return running ? this.#end('late', `no answer within ${timeoutMs} ms`) : this.#end('down', 'it is started anew')
  }

  /** Settles to the verdicts or to what went wrong; its turn is over then. */
  #ask(ranking: Ranking, signal: AbortSignal): Promise<Judged> {
    return this.#evaluator
      .judge(ranking, signal)
      .then(
        (verdicts) => ({ verdicts }),
        (error: unknown) => ({ error }),
      )
      .finally(() => this.#turns.give())
  }

  #goOnWithout(answer: Promise<Judged>, over: AbortController): void {
    this.#overdue++
    const timer = setTimeout(() => over.abort(new Failure('plugin.hung', 'it never answered')), OVERDUE_MS)
    timer.unref()
    void answer.then(() => {
      clearTimeout(timer)
      this.#overdue--
    })
  }

  #ended(judged: Judged): readonly Verdict[] | undefined {
    if ('verdicts' in judged) {
      this.#options.onEnd('ok', '')
      return judged.verdicts
    }
    const { error } = judged
    const why = thrownMessage(error)
    if (error instanceof InvalidVerdicts) return this.#end('invalid', why)
    if (error instanceof Failure && error.code.startsWith('plugin.')) return this.#end('down', why)
    return this.#end('threw', `it threw: ${why}`)
  }

  #end(outcome: Outcome, why: string): undefined {
    this.#options.onEnd(outcome, why)
  }
}

type Judged = { readonly verdicts: readonly Verdict[] } | { readonly error: unknown }

/** Undefined when `work` takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
