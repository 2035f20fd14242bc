import type { MetricTable, Sample } from '#runtime'
import type { Outcome } from './timed-evaluator.ts'

export const evaluatorMetrics = {
  dragonfly_scheduler_evaluator_loaded: {
    kind: 'gauge',
    help: 'Whether an evaluator plugin ranks parents (1), or the scheduler itself (0).',
    labels: [],
  },
  dragonfly_scheduler_evaluator_load_failures_total: {
    kind: 'counter',
    help: 'Evaluator files that could not be used, each state of a file once.',
    labels: [],
  },
  dragonfly_scheduler_evaluator_rankings_total: {
    kind: 'counter',
    help: 'Rankings an evaluator was there for: ok, or why the scheduler ranked itself (threw, invalid, late, down, skipped).',
    labels: ['result'],
  },
} as const satisfies MetricTable

/** What is counted of the evaluators of one scheduler. */
export class EvaluatorCounts {
  readonly #rankings = new Map<Outcome, number>()
  #loadFailures = 0

  ranked(outcome: Outcome): void {
    this.#rankings.set(outcome, (this.#rankings.get(outcome) ?? 0) + 1)
  }

  failedToLoad(): void {
    this.#loadFailures++
  }

  samples(loaded: boolean): Sample[] {
    const name = 'dragonfly_scheduler_evaluator_rankings_total'
    return [
      { name: 'dragonfly_scheduler_evaluator_loaded', labels: {}, value: loaded ? 1 : 0 },
      { name: 'dragonfly_scheduler_evaluator_load_failures_total', labels: {}, value: this.#loadFailures },
      ...[...this.#rankings].map(([result, value]) => ({ name, labels: { result }, value })),
    ]
  }
}
