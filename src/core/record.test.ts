import fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordBytes } from './record.ts'

const record = fc.record({
  taskId: fc.string(),
  version: fc.string(),
  pieceLength: fc.nat(),
  number: fc.nat(),
  offset: fc.nat(),
  length: fc.nat(),
  contentLength: fc.option(fc.nat(), { nil: undefined }),
  blocks: fc.uint8Array(),
  signer: fc.string({ unit: 'grapheme-ascii' }),
})

test('two records that differ in anything are signed over different bytes', () => {
  fc.assert(
    fc.property(record, record, (a, b) => {
      const same = JSON.stringify(a) === JSON.stringify(b)
      expect(Buffer.compare(recordBytes(a), recordBytes(b)) === 0).toBe(same)
    }),
  )
})
