import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Failure } from '#core'
import { InvalidVerdicts, type Verdict } from './check-verdicts.ts'
import type { OpenEvaluator } from './open-evaluator.ts'
import { rankingOf } from './test-evaluator.ts'
import { TimedEvaluator } from './timed-evaluator.ts'

const GOOD: readonly Verdict[] = [{ score: 1, bad: false }]
const RANKING = rankingOf('x')

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** An evaluator that answers when it is told to. */
function fake(running = true) {
  const asked: { resolve(verdicts: readonly Verdict[]): void; reject(error: unknown): void }[] = []
  const outcomes: string[] = []
  const evaluator = {
    running,
    judge: (_ranking: unknown, signal: AbortSignal) =>
      new Promise<readonly Verdict[]>((resolve, reject) => {
        asked.push({ resolve, reject })
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      }),
  }
  const onEnd = (outcome: string, why: string): void => void outcomes.push(why === '' ? outcome : `${outcome}: ${why}`)
  const timed = new TimedEvaluator(evaluator as unknown as OpenEvaluator, { timeoutMs: 50, onEnd })
  return { timed, asked, outcomes, evaluator }
}

test('an answer in time is handed on', async () => {
  const { timed, asked, outcomes } = fake()
  const judged = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(49)
  asked[0]?.resolve(GOOD)
  expect(await judged).toBe(GOOD)
  expect(outcomes).toEqual(['ok'])
})

test.each([
  [new Error('boom'), 'threw: it threw: boom'],
  [new InvalidVerdicts('it scored 1 of 2 parents'), 'invalid: it scored 1 of 2 parents'],
  [new Failure('plugin.crashed', 'its process ended'), 'down: its process ended'],
  [new Failure('plugin.down', 'it crashed 5 times'), 'down: it crashed 5 times'],
])('what goes wrong is told and costs one ranking: %s', async (error, outcome) => {
  const { timed, asked, outcomes } = fake()
  const judged = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(0)
  asked[0]?.reject(error)
  expect(await judged).toBeUndefined()
  const next = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(0)
  asked[1]?.resolve(GOOD)
  expect(await next).toBe(GOOD)
  expect(outcomes).toEqual([outcome, 'ok'])
})

test('nobody waits longer than the time, and nothing is asked while an answer is overdue', async () => {
  const { timed, asked, outcomes } = fake()
  const late = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(50)
  expect(await late).toBeUndefined()
  expect(await timed.judge(RANKING)).toBeUndefined()
  expect(asked).toHaveLength(1)
  asked[0]?.resolve(GOOD)
  await vi.advanceTimersByTimeAsync(0)
  const next = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(0)
  asked[1]?.resolve(GOOD)
  expect(await next).toBe(GOOD)
  expect(outcomes).toEqual(['late: no answer within 50 ms', 'skipped: an answer is overdue', 'ok'])
})

test('an answer that never comes is given up, and the next one asked for', async () => {
  const { timed, asked } = fake()
  const late = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(2100)
  expect(await late).toBeUndefined()
  void timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toHaveLength(2)
})

test('a process that is gone is asked so that it starts, and not waited for', async () => {
  const { timed, asked, outcomes, evaluator } = fake(false)
  expect(await timed.judge(RANKING)).toBeUndefined()
  expect(asked).toHaveLength(1)
  evaluator.running = true
  asked[0]?.resolve(GOOD)
  await vi.advanceTimersByTimeAsync(0)
  const next = timed.judge(RANKING)
  await vi.advanceTimersByTimeAsync(0)
  asked[1]?.resolve(GOOD)
  expect(await next).toBe(GOOD)
  expect(outcomes).toEqual(['down: it is started anew', 'ok'])
})

test('a few are asked at once; the others get their turn in order, or rank without it', async () => {
  const { timed, asked, outcomes } = fake()
  const judged = Array.from({ length: 8 }, () => timed.judge(RANKING))
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toHaveLength(4)
  asked[0]?.resolve(GOOD)
  asked[1]?.resolve(GOOD)
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toHaveLength(6)
  for (const one of asked) one.resolve(GOOD)
  await vi.advanceTimersByTimeAsync(0)
  for (const one of asked) one.resolve(GOOD)
  expect(await Promise.all(judged)).toEqual(judged.map(() => GOOD))
  expect(outcomes).toEqual(judged.map(() => 'ok'))
})

test('a crowd that comes to a slow one waits a while, and nobody in it for ever', async () => {
  const { timed, asked, outcomes } = fake()
  const crowd = Array.from({ length: 5000 }, () => timed.judge(RANKING))
  await vi.advanceTimersByTimeAsync(51)
  expect(await Promise.all(crowd)).toEqual(crowd.map(() => undefined))
  expect(asked).toHaveLength(4)
  // All turns are taken by answers that are overdue: nobody waits for one.
  expect(await timed.judge(RANKING)).toBeUndefined()
  const kinds = new Set(outcomes.map((outcome) => outcome.split(':')[0]))
  expect(kinds).toEqual(new Set(['late', 'skipped']))
})
