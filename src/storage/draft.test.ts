import { blake3 } from '@napi-rs/blake-hash'
import { crc32 } from '@node-rs/crc32'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH, Failure, type PieceRecord } from '#core'
import type { UnsignedPiece } from './contract.ts'
import { type BroughtBlock, Draft, type PieceFacts } from './draft.ts'
import { contentOf, expectationOf, PIECE } from './testing.ts'

const content = contentOf(PIECE)
const record: PieceRecord = {
  taskId: 'ab'.repeat(32),
  version: 'v1',
  pieceLength: PIECE,
  number: 0,
  offset: 0,
  length: PIECE,
  contentLength: undefined,
  blocks: expectationOf(content, 0).blocks ?? Buffer.alloc(0),
  signer: 'seed',
  signature: Buffer.alloc(64, 7),
}
const SOURCE = { traffic: 'source' } as const
const full = new Failure('storage.full', 'no space left')

function blockOf(index: number, changes: Partial<BroughtBlock> = {}): BroughtBlock {
  const bytes = content.subarray(index * BLOCK_LENGTH, (index + 1) * BLOCK_LENGTH)
  const from = { traffic: 'peer', parentId: `parent-${index}` } as const
  return { index, digest: blake3(bytes), crc32: crc32(bytes), costMs: 10, checked: true, from, ...changes }
}

/** A draft whose writes and listings end when the test says so. */
function draftAt({ writers = 1 } = {}) {
  const told: number[] = []
  const kept: (UnsignedPiece & PieceFacts & { signer: string | undefined })[] = []
  let forgot = 0
  let keepFails = false
  const draft = new Draft(0, {
    contentLength: PIECE,
    held: () => false,
    tellBlock: () => told.push(draft.size),
    forgot: () => forgot++,
    async keep(piece, facts, sign) {
      if (keepFails) throw full
      kept.push({ ...piece, ...facts, signer: sign?.(piece)?.signer })
    },
  })
  draft.writers = writers
  let writes = 0
  const write = async (): Promise<boolean> => ++writes > 0
  const failKeeping = (fails: boolean): boolean => (keepFails = fails)
  return { draft, told, kept, write, failKeeping, writes: () => writes, forgot: () => forgot }
}

test('two who bring the same block at the same time: one write, and both end well when it is readable', async () => {
  const at = draftAt({ writers: 2 })
  at.draft.adopt(record)
  await Promise.all([at.draft.put(blockOf(1), at.write), at.draft.put(blockOf(1), at.write)])
  await at.draft.put(blockOf(1), at.write)
  expect([at.writes(), at.told, at.draft.has(1)]).toEqual([1, [1], true])
})

test('a block is not readable before it was written, and not after its write failed', async () => {
  const at = draftAt()
  at.draft.adopt(record)
  let written: (error?: Failure) => void = () => undefined
  const write = (): Promise<boolean> =>
    new Promise((resolve, reject) => (written = (error) => (error === undefined ? resolve(true) : reject(error))))
  const failing = at.draft.put(blockOf(0), write)
  written(full)
  await expect(failing).rejects.toBe(full)
  const putting = at.draft.put(blockOf(0), write)
  await new Promise(setImmediate)
  expect([at.draft.size, at.draft.blocks(), at.draft.record]).toEqual([0, undefined, undefined])
  written()
  await putting
  expect([at.draft.has(0), at.told]).toEqual([true, [1]])
})

test('blocks that were there before the record count as soon as it comes, and make the piece whole', async () => {
  const at = draftAt({ writers: 2 })
  const unchecked = { checked: false, from: SOURCE }
  for (const index of [0, 1, 2]) await at.draft.put(blockOf(index, unchecked), at.write)
  expect([at.draft.size, at.kept]).toEqual([0, []])
  at.draft.adopt(record)
  await at.draft.kept
  expect(at.told).toEqual([1, 2])
  const whole = { crc32: crc32(content), signer: 'seed', costMs: 30, traffic: 'source', parentId: '' }
  expect(at.kept).toMatchObject([whole])
})

test('of a piece is told who brought how many of its bytes, the source too', async () => {
  const at = draftAt()
  const a = { traffic: 'peer', parentId: 'a' } as const
  at.draft.adopt(record)
  await at.draft.put(blockOf(0, { from: a }), at.write)
  await at.draft.put(blockOf(2, { from: a }), at.write)
  at.failKeeping(true)
  await expect(at.draft.put(blockOf(1, { from: a }), at.write)).rejects.toBe(full)
  at.failKeeping(false)
  await at.draft.put(blockOf(1, { from: SOURCE }), at.write)
  const last = PIECE - 2 * BLOCK_LENGTH
  expect(at.kept.map(({ brought }) => [...(brought ?? [])])).toEqual([
    [
      ['a', BLOCK_LENGTH + last],
      ['', BLOCK_LENGTH],
    ],
  ])
})

test('of two unchecked blocks the first stays; a checked one is written over it, and its writer is told', async () => {
  const at = draftAt({ writers: 3 })
  const other = { digest: blake3('other'), checked: false }
  const first = at.draft.put(blockOf(0, other), at.write)
  await expect(at.draft.put(blockOf(0, { checked: false }), at.write)).rejects.toThrow('other bytes')
  at.draft.adopt(record)
  await Promise.all([first, at.draft.put(blockOf(0), at.write)])
  expect([at.writes(), at.draft.has(0)]).toEqual([2, true])
  await expect(at.draft.keep([other.digest], async () => undefined)).rejects.toThrow('other bytes')
})

test('a piece that could not be listed is tried again with its last block, which does not count until then', async () => {
  const at = draftAt()
  at.draft.adopt(record)
  await Promise.all([at.draft.put(blockOf(0), at.write), at.draft.put(blockOf(1), at.write)])
  at.failKeeping(true)
  await expect(at.draft.put(blockOf(2), at.write)).rejects.toBe(full)
  expect([at.draft.has(2), at.draft.size, at.draft.kept]).toEqual([false, 2, undefined])
  at.failKeeping(false)
  await at.draft.put(blockOf(2), at.write)
  expect(at.kept).toMatchObject([{ crc32: crc32(content), parentId: 'parent-2', traffic: 'peer' }])
})

test('when the last writer goes, blocks that match no record are forgotten, the others not', async () => {
  const at = draftAt()
  await at.draft.put(blockOf(0, { digest: blake3('other'), checked: false }), at.write)
  at.draft.adopt(record)
  await at.draft.put(blockOf(1), at.write)
  at.draft.rest()
  expect([at.draft.size, at.draft.bytes]).toEqual([1, BLOCK_LENGTH])
  await at.draft.put(blockOf(2), at.write)
  expect([at.draft.size, at.draft.bytes]).toEqual([2, PIECE - BLOCK_LENGTH])
  await at.draft.put(blockOf(0, { checked: false }), at.write)
  expect(at.kept).toHaveLength(1)
})

test('a block is written over another one only when that has been written', async () => {
  const at = draftAt({ writers: 2 })
  let written: () => void = () => undefined
  const slow = (): Promise<boolean> => new Promise((resolve) => (written = () => resolve(true)))
  const unchecked = at.draft.put(blockOf(0, { digest: blake3('other'), checked: false }), slow)
  at.draft.adopt(record)
  const checked = at.draft.put(blockOf(0), at.write)
  await new Promise(setImmediate)
  expect(at.writes()).toBe(0)
  written()
  await Promise.all([unchecked, checked])
  expect([at.writes(), at.draft.has(0)]).toEqual([1, true])
})

test('what the source brought whole is listed once, also when a record for it comes meanwhile', async () => {
  const at = draftAt({ writers: 2 })
  const digests = await Promise.all(
    [0, 1, 2].map(async (index) => {
      const block = blockOf(index, { checked: false, from: SOURCE })
      await at.draft.put(block, at.write)
      return block.digest
    }),
  )
  const keeping = at.draft.keep(digests, () => new Promise(setImmediate))
  at.draft.adopt(record)
  await keeping
  expect(at.kept).toEqual([])
})

test('a piece that the source brought could not be listed: the next who brings its last block tries again', async () => {
  const at = draftAt({ writers: 2 })
  for (const index of [0, 1, 2]) await at.draft.put(blockOf(index, { checked: false, from: SOURCE }), at.write)
  at.failKeeping(true)
  at.draft.adopt(record)
  await at.draft.kept?.catch(() => undefined)
  at.failKeeping(false)
  await at.draft.put(blockOf(2), at.write)
  expect(at.kept).toMatchObject([{ crc32: crc32(content), parentId: 'parent-2' }])
})

test('a source that agrees with all checked blocks, but not with the rest of the record, brings the piece', async () => {
  const at = draftAt()
  at.draft.adopt(record)
  await at.draft.put(blockOf(0), at.write)
  const blocks = [blockOf(0), blockOf(1, { digest: blake3('new') }), blockOf(2)]
  for (const block of blocks) await at.draft.put({ ...block, checked: false, from: SOURCE }, at.write)
  await at.draft.keep(
    blocks.map((block) => block.digest),
    async () => undefined,
  )
  expect(at.kept).toEqual([])
})

test('bytes that were not written because the piece was held count for nothing once it is not', async () => {
  const at = draftAt()
  at.draft.adopt(record)
  await Promise.all([0, 1, 2].map((index) => at.draft.put(blockOf(index), async () => false)))
  expect([at.draft.size, at.kept]).toEqual([0, []])
  const digests = [0, 1, 2].map((index) => blockOf(index).digest)
  await expect(at.draft.keep(digests, async () => undefined)).rejects.toMatchObject({ code: 'piece.missing' })
  at.draft.rest()
  at.draft.adopt(record)
  for (const index of [0, 1, 2]) await at.draft.put(blockOf(index), at.write)
  expect(at.kept).toHaveLength(1)
})

test('who brought right bytes is not told that they were wrong when what was here of them is doubted', async () => {
  const at = draftAt({ writers: 2 })
  at.draft.adopt(record)
  const digests = [0, 1, 2].map((index) => blockOf(index).digest)
  for (const index of [0, 1]) await at.draft.put(blockOf(index, { checked: false }), at.write)
  at.draft.doubt()
  await at.draft.put(blockOf(2, { checked: false }), at.write)
  await expect(at.draft.keep(digests, async () => undefined)).rejects.toMatchObject({ code: 'piece.missing' })
  const wrong = [blake3('other'), ...digests.slice(1)]
  await expect(at.draft.keep(wrong, async () => undefined)).rejects.toMatchObject({ code: 'piece.corrupt' })
  expect(at.kept).toEqual([])
})

test('forgetting is told whenever something was readable, and only then', async () => {
  const at = draftAt()
  at.draft.adopt(record)
  at.draft.doubt()
  expect(at.forgot()).toBe(0)
  await at.draft.put(blockOf(0), at.write)
  at.draft.doubt()
  expect([at.forgot(), at.draft.size]).toEqual([1, 0])
  await at.draft.put(blockOf(0), at.write)
  await expect(
    at.draft.put(blockOf(0, { digest: blake3('other'), checked: false, from: SOURCE }), at.write),
  ).rejects.toMatchObject({ code: 'piece.corrupt' })
  expect([at.forgot(), at.draft.size]).toEqual([2, 0])
})
