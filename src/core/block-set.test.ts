import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockSet } from './block-set.ts'

const counts = fc.integer({ min: 0, max: 128 })

test('it has what was added, once, and knows when nothing is missing', () => {
  fc.assert(
    fc.property(counts, fc.array(fc.nat(127)), (count, indexes) => {
      const set = BlockSet.of(count)
      const wanted = new Set(indexes.filter((index) => index < count))
      for (const index of indexes) if (index < count) set.add(index)
      expect(set.size).toBe(wanted.size)
      expect(set.full).toBe(wanted.size === count)
      for (let index = 0; index < 136; index++) expect(set.has(index)).toBe(wanted.has(index))
    }),
  )
})

test('bit i of byte floor(i / 8) is 1 << (i % 8), also on the wire', () => {
  const set = BlockSet.of(10)
  set.add(0)
  set.add(9)
  expect([...set.bytes]).toEqual([1, 2])
  expect([...BlockSet.full(10).bytes]).toEqual([0xff, 3])
  expect([...BlockSet.full(8).bytes]).toEqual([0xff])
})

test('what was sent comes back, and every set of all blocks is full', () => {
  fc.assert(
    fc.property(counts, fc.array(fc.nat(127)), (count, indexes) => {
      const set = BlockSet.of(count)
      for (const index of indexes) if (index < count) set.add(index)
      const back = BlockSet.fromBytes(set.bytes, count)
      expect([...back.bytes]).toEqual([...set.bytes])
      expect([back.size, back.count]).toEqual([set.size, count])
      const full = BlockSet.full(count)
      expect([full.size, full.full]).toEqual([count, true])
      expect(BlockSet.fromBytes(full.bytes, count).full).toBe(true)
    }),
  )
})

test('bytes that are no set of so many blocks are refused, whatever they are', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 18 }), counts, (bytes, count) => {
      const stray = count % 8 === 0 ? 0 : (bytes.at(-1) ?? 0) >> (count % 8)
      if (bytes.length === Math.ceil(count / 8) && stray === 0) {
        const set = BlockSet.fromBytes(bytes, count)
        expect(set.size).toBeLessThanOrEqual(count)
      } else expect(() => BlockSet.fromBytes(bytes, count)).toThrow(RangeError)
    }),
    { numRuns: 2000 },
  )
  for (const count of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => BlockSet.of(count)).toThrow(RangeError)
    expect(() => BlockSet.fromBytes(new Uint8Array(1), count)).toThrow(RangeError)
  }
})

test('an index that the piece does not have is never in it and cannot be added', () => {
  const set = BlockSet.full(10)
  for (const index of [-1, 10, 15, Number.NaN, 2 ** 40]) {
    expect(set.has(index)).toBe(false)
    expect(() => set.add(index)).toThrow(RangeError)
  }
  expect(() => set.add(1.5)).toThrow(RangeError)
  expect(set.size).toBe(10)
})

test('neither a copy nor the bytes it came from change it', () => {
  const bytes = new Uint8Array([1])
  const set = BlockSet.fromBytes(bytes, 8)
  bytes[0] = 0xff
  set.copy().add(3)
  expect([...set.bytes]).toEqual([1])
  expect(set.size).toBe(1)
})
