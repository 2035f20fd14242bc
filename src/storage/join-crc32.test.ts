import { crc32 } from '@node-rs/crc32'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH } from '#core'
import { joinCrc32 } from './join-crc32.ts'
import { random } from './testing.ts'

test('parts joined have the CRC-32 of the whole, wherever it was cut', () => {
  const bytes = fc.uint8Array({ maxLength: 5000 })
  fc.assert(
    fc.property(bytes, bytes, (before, behind) => {
      const whole = crc32(Buffer.concat([before, behind]))
      expect(joinCrc32(crc32(before), crc32(behind), behind.length)).toBe(whole)
    }),
    { numRuns: 1000 },
  )
})

test('blocks of a piece, of which the last is shorter, make the CRC-32 of the piece', () => {
  for (const length of [1, BLOCK_LENGTH, BLOCK_LENGTH + 1, 4 * BLOCK_LENGTH, 9 * BLOCK_LENGTH - 1]) {
    const piece = random(length)
    let joined = crc32('')
    for (let at = 0; at < length; at += BLOCK_LENGTH) {
      const block = piece.subarray(at, at + BLOCK_LENGTH)
      joined = joinCrc32(joined, crc32(block), block.length)
    }
    expect(joined).toBe(crc32(piece))
  }
})

test('also before gigabytes that were never read', () => {
  for (const before of [1, 0xffffffff, 0x12345678]) {
    let byParts = before
    for (let part = 0; part < 16; part++) byParts = joinCrc32(byParts, 0, 2 ** 30)
    expect(joinCrc32(before, 0, 2 ** 34)).toBe(byParts)
  }
})
