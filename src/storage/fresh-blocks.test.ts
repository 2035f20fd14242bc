import { afterEach, expect, test, vi } from 'vitest'
import { BLOCK_LENGTH } from '#core'
import { FreshBlocks } from './fresh-blocks.ts'

afterEach(() => void vi.useRealTimers())

test('what was written a moment ago is fresh, as far as all of it was', () => {
  const fresh = new FreshBlocks()
  fresh.wrote(2 * BLOCK_LENGTH, BLOCK_LENGTH)
  fresh.wrote(3 * BLOCK_LENGTH, 100)
  expect(fresh.has(2 * BLOCK_LENGTH, BLOCK_LENGTH)).toBe(true)
  expect(fresh.has(2 * BLOCK_LENGTH + 5, BLOCK_LENGTH)).toBe(true)
  expect(fresh.has(BLOCK_LENGTH, 2 * BLOCK_LENGTH)).toBe(false)
  expect(fresh.has(0, 0)).toBe(false)
})

test('only the last blocks count, and only for some seconds', () => {
  vi.useFakeTimers()
  const fresh = new FreshBlocks()
  for (let block = 0; block < 70; block++) fresh.wrote(block * BLOCK_LENGTH, BLOCK_LENGTH)
  expect(fresh.has(5 * BLOCK_LENGTH, 1)).toBe(false)
  expect(fresh.has(6 * BLOCK_LENGTH, 64 * BLOCK_LENGTH)).toBe(true)
  vi.advanceTimersByTime(5001)
  expect(fresh.has(69 * BLOCK_LENGTH, 1)).toBe(false)
})
