import { expect, test } from 'vitest'
import { Bits, firstInBoth, lowest } from './bits.ts'

function bitsOf(...numbers: number[]): Bits {
  const bits = new Bits(8)
  for (const number of numbers) bits.add(number)
  return bits
}

test('what was added is there once, until it is taken out; every bit of a word alike', () => {
  const bits = bitsOf(0, 31, 32, 1000)
  expect([0, 1, 31, 32, 33, 1000, 5000].filter((number) => bits.has(number))).toEqual([0, 31, 32, 1000])
  expect(bits.add(31)).toBe(false)
  expect(bits.delete(31)).toBe(true)
  expect(bits.delete(31)).toBe(false)
  expect(bits.add(31)).toBe(true)
})

test('the first number that two sets have in common is found within the borders, and not beyond', () => {
  const a = bitsOf(3, 31, 40, 63, 64, 200)
  const b = bitsOf(2, 31, 41, 63, 64)
  expect(firstInBoth(a, b, 0, 300)).toBe(31)
  expect(firstInBoth(a, b, 31, 32)).toBe(31)
  expect(firstInBoth(a, b, 32, 63)).toBeUndefined()
  expect(firstInBoth(a, b, 32, 64)).toBe(63)
  expect(firstInBoth(a, b, 64, 300)).toBe(64)
  expect(firstInBoth(a, b, 65, 300)).toBeUndefined()
  expect(firstInBoth(a, b, 64, 64)).toBeUndefined()
})

test('the lowest bit that is set is found, the highest one included', () => {
  expect([1, 6, 0x80000000 | 0, -1].map((bits) => lowest(bits))).toEqual([0, 1, 31, 0])
})
