import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeHeader,
  decodeMessage,
  encodeHeader,
  encodeMessage,
  FRAME,
  FRAME_HEADER_BYTES,
  LARGEST_MESSAGE_BYTES,
} from './frames.ts'

test('property: what is plain data arrives as it was sent', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(FRAME.json, FRAME.error), (value, kind) => {
      const frame = encodeMessage(kind, value)
      const payload = frame.subarray(FRAME_HEADER_BYTES)
      expect(decodeHeader(frame)).toEqual({ kind, length: payload.length })
      expect(decodeMessage(payload)).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('property: of any five bytes a header is read that was written so, or none', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: FRAME_HEADER_BYTES, maxLength: FRAME_HEADER_BYTES + 3 }),
      fc.nat(6),
      (bytes, kind) => {
        bytes[0] = kind
        const header = decodeHeader(bytes)
        if (header === undefined) return
        expect(encodeHeader(header.kind, header.length)).toEqual(Buffer.from(bytes.subarray(0, FRAME_HEADER_BYTES)))
        if (header.kind === FRAME.end) expect(header.length).toBe(0)
        else expect(header.length).toBeGreaterThan(0)
        if (header.kind !== FRAME.bytes) expect(header.length).toBeLessThanOrEqual(LARGEST_MESSAGE_BYTES)
      },
    ),
    { numRuns: 2000 },
  )
})

test.each([
  ['bytes of nothing', FRAME.bytes, 0],
  ['a message of nothing', FRAME.json, 0],
  ['an error of nothing', FRAME.error, 0],
  ['an end that goes on', FRAME.end, 1],
  ['a message larger than any', FRAME.json, LARGEST_MESSAGE_BYTES + 1],
  ['an error of 4 GiB', FRAME.error, 2 ** 32 - 1],
])('%s is no frame', (_, kind, length) => {
  expect(decodeHeader(encodeHeader(kind, length))).toBeUndefined()
})

test('bytes may be many, and a message as large as a message may be', () => {
  expect(decodeHeader(encodeHeader(FRAME.bytes, 2 ** 32 - 1))).toEqual({ kind: FRAME.bytes, length: 2 ** 32 - 1 })
  const largest = 'x'.repeat(LARGEST_MESSAGE_BYTES - 2)
  expect(encodeMessage(FRAME.json, largest).length).toBe(FRAME_HEADER_BYTES + LARGEST_MESSAGE_BYTES)
  expect(() => encodeMessage(FRAME.json, `${largest}x`)).toThrow('is too large, expected at most 4194304')
})

test('a header and a message are read where they lie, not at the start of the memory around them', () => {
  const around = Buffer.concat([Buffer.alloc(7, 0xff), encodeMessage(FRAME.json, { a: 1 }), Buffer.alloc(7, 0xff)])
  const frame = around.subarray(7, around.length - 7)
  expect(decodeHeader(frame)).toEqual({ kind: FRAME.json, length: 7 })
  expect(decodeMessage(frame.subarray(FRAME_HEADER_BYTES))).toEqual({ a: 1 })
})

test('what is no JSON is undefined, and what JSON cannot say is null', () => {
  expect(decodeMessage(Buffer.from('{"a":'))).toBeUndefined()
  expect(decodeMessage(encodeMessage(FRAME.json, undefined).subarray(FRAME_HEADER_BYTES))).toBeNull()
})
