import { expect, test } from 'vitest'
import { measure, median } from './measure.ts'

test('every case runs once unmeasured, and no case always follows the same one', async () => {
  const order: string[] = []
  const one = (name: string) => ({ name, run: async () => ({ ms: order.push(name) }) })
  await measure([one('a'), one('b'), one('c')], 2, async () => {})
  expect(order.join('')).toBe('abcbcacab')
})

test('a result is the median of its measured runs, and a ratio to the first case', async () => {
  const of = (name: string, all: { ms: number; cpuMs?: number }[]) => ({
    name,
    run: async () => all.shift() ?? { ms: 0 },
  })
  const [plain, ours] = await measure(
    [
      of('plain', [
        { ms: 999, cpuMs: 999 },
        { ms: 10, cpuMs: 5 },
        { ms: 30, cpuMs: 5 },
        { ms: 20, cpuMs: 5 },
      ]),
      of('ours', [{ ms: 999 }, { ms: 40 }, { ms: 60 }, { ms: 50 }]),
    ],
    3,
    async () => {},
  )
  expect(plain).toMatchObject({ medianMs: 20, minMs: 10, maxMs: 30, ratio: 1, cpuMs: 5, cpuRatio: 1 })
  expect(ours).toMatchObject({ medianMs: 50, ratio: 2.5, cpuMs: Number.NaN })
})

test('the median of an even number is between the two in the middle', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeNaN()
})
