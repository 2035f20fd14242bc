import { expect, test } from 'vitest'
import type { PieceRecord } from '#core'
import { contentOf, newReader, PIECE_LENGTH, type Reader, recordOf } from './swarm-fixture.ts'
import { RecordChecker } from './trust.ts'

const content = contentOf(PIECE_LENGTH + 10)
const [seed, other] = [newReader(), newReader()]
const signerOf = ({ hostId, key }: Reader) => ({ hostId, publicKey: key.publicKey })

/** A record that counts how often somebody looked at what it signs. */
function watched(record: PieceRecord): { record: PieceRecord; looks: () => number } {
  let looks = 0
  const get = (): Uint8Array => {
    looks++
    return record.signature
  }
  return { record: Object.defineProperty({ ...record }, 'signature', { get }), looks: () => looks }
}

test('a record counts as it was signed, by a host that counts', () => {
  const checker = new RecordChecker()
  const record = recordOf(content, 1, seed)
  expect(checker.believes(record)).toBe(false)
  checker.trust([signerOf(seed)])
  expect(checker.believes(record)).toBe(true)
  for (const [field, value] of Object.entries({ number: 2, version: 'v2', contentLength: 5, signer: 'another' }))
    expect(checker.believes({ ...record, [field]: value }), field).toBe(false)
  expect(checker.believes({ ...record, blocks: record.blocks.subarray(32) })).toBe(false)
})

test('a record that was refused is checked again only when its signer has another key by then', () => {
  const checker = new RecordChecker()
  checker.trust([signerOf(other)])
  const { record, looks } = watched(recordOf(content, 0, seed))
  expect(checker.believes(record)).toBe(false)
  const before = looks()
  for (let again = 0; again < 10; again++) expect(checker.believes(record)).toBe(false)
  // Its length is looked at, and no more: a signature takes a tenth of a millisecond.
  expect(looks() - before).toBeLessThanOrEqual(10)
  checker.trust([signerOf(seed)])
  expect(checker.believes(record)).toBe(true)
})
