import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatRangeRequest, parseRange, resolveRange } from './range.ts'

test.each([
  ['0-9', { start: 0, end: 9 }],
  ['bytes=5-', { start: 5, end: 99 }],
  ['-10', { start: 90, end: 99 }],
  ['-1000', { start: 0, end: 99 }],
  ['50-1000', { start: 50, end: 99 }],
])('%s of 100 bytes is %j', (text, expected) => {
  expect(resolveRange(parseRange(text), 100)).toEqual(expected)
})

test.each(['', '-', 'a-b', '9-0', '1-2,3-4', '--1', '-0', '1', 'bytes=', '99999999999999999-'])(
  '"%s" is refused as a range',
  (text) => {
    expect(() => parseRange(text)).toThrow(/range ".*" cannot be served/)
  },
)

test('a range behind the end of the file is refused with its length', () => {
  expect(() => resolveRange(parseRange('100-'), 100)).toThrow('the file has 100 bytes')
  expect(() => resolveRange(parseRange('-1'), 0)).toThrow('the file is empty')
})

test('what was read is written the same way', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (start, more) => {
      const text = `${start}-${start + more}`
      expect(formatRangeRequest(parseRange(text))).toBe(text)
    }),
  )
})

test('no text crashes the parser', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseRange(text)
      } catch (error) {
        expect(error).toHaveProperty('code', 'source.range_invalid')
      }
    }),
  )
})
