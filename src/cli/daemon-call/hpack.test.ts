import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeFields, encodeFields } from './hpack.ts'

test('property: what was encoded is decoded, however long it is', () => {
  const name = fc.stringMatching(/^[a-z][a-z-]{0,20}$/)
  const value = fc.oneof(
    fc.stringMatching(/^[ -~]{0,300}$/),
    fc.integer({ min: 0, max: 40_000 }).map((n) => 'x'.repeat(n)),
  )
  fc.assert(
    fc.property(fc.dictionary(name, value), (fields) => {
      expect(decodeFields(encodeFields(fields))).toEqual({ ...fields })
    }),
    { numRuns: 200 },
  )
})

test('the forms that a server may choose are all understood', () => {
  const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
  // Indexed; a word about the table; a literal to be remembered, one not, one never; in Huffman's code and plain.
  expect(decodeFields(hex('20 88 5f 8b 1d75d0620d263d4c4d6564'))).toEqual({
    ':status': '200',
    'content-type': 'application/grpc',
  })
  expect(decodeFields(hex('8d 0f10 01 61'))).toEqual({ ':status': '404', 'content-type': 'a' })
  expect(decodeFields(hex('10 01 61 01 62 00 01 63 00'))).toEqual({ a: 'b', c: '' })
})

test('damaged headers are refused, and none takes long', () => {
  for (const text of [
    '80',
    'ff',
    'ffffffffff',
    '3f81',
    '21',
    '00',
    '0005',
    '0001617f',
    '000161827f00',
    '000161847fffffff',
  ]) {
    expect(() => decodeFields(Buffer.from(text, 'hex')), text).toThrow()
  }
  for (let round = 0; round < 2000; round++) {
    try {
      decodeFields(randomBytes(round % 100))
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
    }
  }
})
