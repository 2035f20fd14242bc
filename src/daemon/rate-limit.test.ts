import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TokenBucket } from './rate-limit.ts'

test('the mean rate stays within the limit whatever the sizes asked for', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1_000, max: 10_000_000 }),
      fc.array(fc.integer({ min: 1, max: 5_000_000 }), { minLength: 5, maxLength: 50 }),
      (rate, sizes) => {
        let nowMs = 0
        const bucket = new TokenBucket(rate, () => nowMs)
        let total = 0
        for (const size of sizes) {
          nowMs += bucket.book(size)
          total += size
        }
        const dueMs = (total / rate) * 1000
        expect(nowMs).toBeGreaterThanOrEqual(dueMs - 101)
        expect(nowMs).toBeLessThanOrEqual(dueMs + 1)
      },
    ),
  )
})

test('a bucket without a rate never makes anybody wait', () => {
  expect(new TokenBucket(0).book(2 ** 40)).toBe(0)
})
