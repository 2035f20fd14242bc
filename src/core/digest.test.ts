import { expect, test } from 'vitest'
import { formatDigest, formatPieceDigest, parseDigest, parsePieceDigest } from './digest.ts'

test.each([
  ['md5', 32],
  ['sha1', 40],
  ['sha256', 64],
  ['sha512', 128],
  ['crc32', 8],
])('%s is read with its %i hex digits and nothing else', (algorithm, length) => {
  expect(parseDigest(`${algorithm}:${'A'.repeat(length)}`)).toEqual({ algorithm, hex: 'a'.repeat(length) })
  expect(() => parseDigest(`${algorithm}:${'a'.repeat(length - 1)}`)).toThrow(`${length} hex digits`)
  expect(() => parseDigest(`${algorithm}:${'g'.repeat(length)}`)).toThrow(`${length} hex digits`)
})

test.each(['', 'md5', 'sha3:00', ':abc', 'toString:00', '__proto__:00'])('%j names no digest', (text) => {
  expect(() => parseDigest(text)).toThrow(/algorithm:hex/)
})

test('a CRC-32 may be given as Dragonfly writes it, in ten digits', () => {
  expect(formatDigest(parseDigest('crc32:1475635037'))).toBe('crc32:57f4675d')
})

test('the digest of a piece is decimal, unsigned and not padded', () => {
  expect(formatPieceDigest(1475635037)).toBe('crc32:1475635037')
  expect(formatPieceDigest(-1)).toBe('crc32:4294967295')
  expect(parsePieceDigest('crc32:1475635037')).toBe(1475635037)
  for (const other of ['', 'crc32:', 'crc32:abc', 'crc32:4294967296', 'sha256:00', 'crc32:-1'])
    expect(parsePieceDigest(other)).toBeUndefined()
})
