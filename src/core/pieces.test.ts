import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pieceCount, pieceLengthFor, pieceSpan, piecesOf } from './pieces.ts'

const MiB = 2 ** 20

test.each([
  [1, 4 * MiB, 1],
  [1_000_000_000, 4 * MiB, 239],
  [2_097_152_000, 4 * MiB, 500],
  [2_097_152_500, 8 * MiB, 251],
  [4 * 2 ** 30, 16 * MiB, 256],
  [8 * 2 ** 30, 32 * MiB, 256],
  [16 * 2 ** 30, 64 * MiB, 256],
  [100 * 2 ** 30, 64 * MiB, 1600],
])('%i bytes are cut as every Dragonfly peer cuts them', (content, length, count) => {
  expect(pieceLengthFor(content)).toBe(length)
  expect(pieceCount(content, length)).toBe(count)
})

test('content of unknown length is cut into the smallest pieces', () => {
  expect(pieceLengthFor(undefined)).toBe(4 * MiB)
})

test.each([
  [1000, 5000, { start: 1500, end: 3499 }, { first: 1, last: 3 }],
  [1000, 5000, { start: 0, end: 0 }, { first: 0, last: 0 }],
])('a range wants the whole pieces it touches', (length, _content, range, expected) => {
  expect(piecesOf(range, length)).toEqual(expected)
})

test('pieces cover the content once, without a gap', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 ** 12 }), (content) => {
      const length = pieceLengthFor(content)
      const last = pieceSpan(pieceCount(content, length) - 1, length, content)
      expect(last.length).toBeGreaterThan(0)
      expect(last.offset + last.length).toBe(content)
    }),
  )
})
