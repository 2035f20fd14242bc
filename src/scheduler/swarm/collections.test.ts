import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CostRecord } from './cost-record.ts'
import { MAX_PIECE_NUMBER, PieceSet } from './piece-set.ts'
import { SampleSet } from './sample-set.ts'

test('a piece set is a set of piece numbers', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -2, max: 5000 })), (numbers) => {
      const pieces = new PieceSet()
      const twin = new Set<number>()
      for (const number of numbers) {
        expect(pieces.add(number)).toBe(number >= 0 && !twin.has(number))
        if (number >= 0) twin.add(number)
        expect(pieces.size).toBe(twin.size)
      }
      for (const number of numbers) expect(pieces.has(number)).toBe(twin.has(number))
    }),
  )
})

test('a piece number that no task can have takes no memory', () => {
  const pieces = new PieceSet()
  for (const number of [MAX_PIECE_NUMBER + 1, 2 ** 32 - 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(pieces.add(number)).toBe(false)
  expect(pieces.add(MAX_PIECE_NUMBER)).toBe(true)
  pieces.addAll(10)
  expect(pieces.size).toBe(11)
})

test('a sample set is walked through whole, in any order, however it was filled', () => {
  const item = fc.integer({ min: 0, max: 20 })
  const change = fc.record({ add: fc.boolean(), item })
  fc.assert(
    fc.property(
      fc.array(change),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999_999, noNaN: true })),
      (changes, dice) => {
        const items = Array.from({ length: 21 }, (_, number) => ({ number }))
        const set = new SampleSet<{ number: number }>()
        const twin = new Set<{ number: number }>()
        for (const { add, item } of changes) {
          const object = items[item] ?? { number: -1 }
          if (add) {
            set.add(object)
            twin.add(object)
          } else {
            set.delete(object)
            twin.delete(object)
          }
        }
        const walked = [...set.shuffled(() => dice.next().value ?? 0)]
        expect(walked).toHaveLength(twin.size)
        expect(new Set(walked)).toEqual(twin)
        expect(new Set(set)).toEqual(twin)
      },
    ),
  )
})

test('every item of a sample set has the same chance to be first', () => {
  const set = new SampleSet<{ number: number }>()
  for (let number = 0; number < 4; number++) set.add({ number })
  const first = (dice: number): number => set.shuffled(() => dice).next().value?.number ?? -1
  expect(new Set([0, 0.25, 0.5, 0.75].map(first))).toEqual(new Set([0, 1, 2, 3]))
})

test('costs tell the last and the mean of all', () => {
  const costs = new CostRecord()
  expect([costs.meanMs, costs.lastMs]).toEqual([undefined, undefined])
  for (const [costMs, meanMs] of [
    [100, 100],
    [200, 150],
    [600, 300],
  ] as const) {
    costs.add(costMs)
    expect([costs.meanMs, costs.lastMs]).toEqual([meanMs, costMs])
  }
})

test('a piece that takes more than 20 times the mean of the others is slow', () => {
  const costs = new CostRecord()
  costs.add(100)
  expect(costs.slow).toBe(false)
  costs.add(100)
  costs.add(2000)
  expect(costs.slow).toBe(false)
  costs.add(20 * (2200 / 3) + 1)
  expect(costs.slow).toBe(true)
  costs.add(100)
  expect(costs.slow).toBe(false)
})

test('with 2000 samples a piece is slow beyond three standard deviations', () => {
  const samples = Array.from({ length: 1999 }, (_, index) => (index % 2 === 0 ? 4000 : 6000))
  const mean = samples.reduce<number>((sum, cost) => sum + cost, 0) / samples.length
  const deviation = Math.sqrt(samples.reduce((sum, cost) => sum + (cost - mean) ** 2, 0) / samples.length)
  for (const [costMs, slow] of [
    [mean + 3 * deviation - 1, false],
    [mean + 3 * deviation + 1, true],
  ] as const) {
    const costs = new CostRecord()
    for (const sample of samples) costs.add(sample)
    costs.add(costMs)
    expect(costs.slow).toBe(slow)
  }
})

test('a fast link is never called slow for a jitter of some milliseconds', () => {
  const costs = new CostRecord()
  for (let piece = 0; piece < 50; piece++) costs.add(2)
  costs.add(900)
  expect(costs.slow).toBe(false)
})

test('a cost that is no cost counts for nothing', () => {
  const costs = new CostRecord()
  for (const cost of [-1, Number.NaN, Number.POSITIVE_INFINITY]) costs.add(cost)
  expect(costs.count).toBe(0)
})
