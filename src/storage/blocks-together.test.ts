import { crc32 } from '@node-rs/crc32'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH } from '#core'
import type { StoredTask } from './contract.ts'
import {
  contentOf,
  giveAll,
  heldRightly,
  metaOf,
  PIECE,
  readableRightly,
  recordOf,
  SOURCE,
  taskIdOf,
  tempStore,
  write,
  writeBlocks,
} from './testing.ts'

const content = contentOf(2 * PIECE + 12_345)
const meta = metaOf({ contentLength: content.length })
const corrupt = { code: 'piece.corrupt' }

function blockOf(index: number): Buffer {
  return content.subarray(index * BLOCK_LENGTH, Math.min((index + 1) * BLOCK_LENGTH, PIECE))
}

/** `content` with another byte in some block of piece 0. */
function changedIn(index: number): Buffer {
  const changed = Buffer.from(content)
  changed.writeUInt8(changed.readUInt8(index * BLOCK_LENGTH + 9) ^ 1, index * BLOCK_LENGTH + 9)
  return changed
}

const signature = { signer: 'seed', signature: Buffer.alloc(64, 7), contentLength: undefined }

/** Resolves once the piece is held. */
async function held(task: StoredTask, number: number): Promise<void> {
  while (task.piece(number) === undefined) await new Promise((resolve) => task.onPiece(resolve))
}
test('blocks and a source write one piece together, and with the last block, whoever brings it, it is held', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 1 })
  await using source = task.write({ first: 0, end: 1, from: SOURCE, sign: () => ({ ...signature, signer: 'me' }) })
  await giveAll(source, content.subarray(0, BLOCK_LENGTH + 100))
  await writeBlocks(task, content, { first: 2 })
  // What the source brought is what the record says: nothing is missing.
  await held(task, 0)
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
  await giveAll(source, content.subarray(BLOCK_LENGTH + 100, PIECE))
  await source.end()

  await writeBlocks(task, content, { number: 1, first: 2 })
  await write(task, content, { first: 1, end: 2, sign: () => ({ ...signature, signer: 'me' }) })
  expect(task.record(1)).toMatchObject({ signer: 'seed' })
  expect(task.piece(1)).toMatchObject({ traffic: 'source', crc32: crc32(content.subarray(PIECE, 2 * PIECE)) })
  expect(await heldRightly(task, content)).toEqual([0, 1])
})

test('a source with other bytes than checked blocks is refused once; then its content counts', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 1 })
  const changed = Buffer.from(content)
  for (const index of [0, 1, 2]) changed.fill(index, index * BLOCK_LENGTH, index * BLOCK_LENGTH + 9)
  const readAgain = () => write(task, changed, { end: 1 })
  {
    // As long as somebody still brings blocks, they stay.
    await using peer = task.writeBlocks({ record: recordOf(task, content, 0), first: 2, count: 1, parentId: 'p' })
    await expect(readAgain()).rejects.toMatchObject(corrupt)
    expect(await readableRightly(task, content)).toEqual([1])
    await giveAll(peer, blockOf(2))
    await peer.end()
    expect(await readableRightly(task, content)).toEqual([1, 2])
  }
  await expect(readAgain()).rejects.toMatchObject(corrupt)
  expect(task.blocks(0)).toBeUndefined()
  await readAgain()
  expect(await heldRightly(task, changed)).toEqual([0])
})

test('a stock peer with other bytes than checked blocks is refused, and they stay', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 1 })
  const from = { traffic: 'peer', parentId: 'stock' } as const
  for (let again = 0; again < 2; again++) {
    await expect(write(task, changedIn(1), { end: 1, from })).rejects.toMatchObject(corrupt)
    expect(await readableRightly(task, content)).toEqual([1])
  }
  await write(task, content, { end: 1, from })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('a newer record with other digests takes the place of what nobody writes any more', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const changed = changedIn(0)
  const newer = recordOf(task, changed, 0, { signer: 'seed-2' })
  const options = { record: newer, first: 1, count: 2, parentId: 'p' }
  {
    await using peer = task.writeBlocks({ ...options, record: recordOf(task, content, 0) })
    await giveAll(peer, blockOf(1))
    expect(() => task.writeBlocks(options)).toThrow(expect.objectContaining(corrupt))
    // Another signer of the same digests is no contradiction.
    await writeBlocks(task, content, { record: recordOf(task, content, 0, { signer: 'seed-2' }), first: 0 })
    expect(await readableRightly(task, content)).toEqual([0, 1])
  }
  await writeBlocks(task, changed, options)
  expect(await readableRightly(task, changed)).toEqual([1, 2])
  await writeBlocks(task, changed, { ...options, first: 0, count: 1 })
  expect(await heldRightly(task, changed)).toEqual([0])
})

test('whoever brings what, in whatever order, and leaves or lies: what is readable is right, and nothing right is lost', async () => {
  await using at = await tempStore({ bufferBytes: 4 * BLOCK_LENGTH })
  const chunkLength = fc.constantFrom(65_536, 300_001, BLOCK_LENGTH, 2_000_000)
  const blocks = fc.record({
    number: fc.integer({ min: 0, max: 1 }),
    range: fc.constantFrom<[number, number]>([0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [0, 3]),
    chunkLength,
    lies: fc.boolean(),
    leaves: fc.boolean(),
  })
  const source = fc.record({ chunkLength, given: fc.integer({ min: 0, max: 2 * PIECE }) })
  let number = 3000
  await fc.assert(
    fc.asyncProperty(
      fc.array(blocks, { maxLength: 9 }),
      fc.array(source, { maxLength: 2 }),
      async (writers, sources) => {
        const task = await at.store.open(metaOf({ taskId: taskIdOf(number++), contentLength: content.length }))
        const looks: Promise<unknown>[] = []
        task.onBlocks((piece) => looks.push(readableRightly(task, content, piece)))
        const lie = Buffer.alloc(content.length, 5)
        const bringing = writers.map(async ({ number, range: [first, count], chunkLength, lies, leaves }) => {
          const options = { record: recordOf(task, content, number), first, count, parentId: 'p' }
          const start = number * PIECE + first * BLOCK_LENGTH
          const bytes = (lies ? lie : content).subarray(
            start,
            Math.min(start + count * BLOCK_LENGTH, (number + 1) * PIECE),
          )
          await using writer = task.writeBlocks(options)
          await giveAll(writer, leaves ? bytes.subarray(0, bytes.length - 10) : bytes, chunkLength).catch(
            () => undefined,
          )
          if (leaves) return
          const ended = await writer.end().catch((error: unknown) => error)
          if (ended !== undefined) return expect([lies, ended]).toEqual([true, expect.objectContaining(corrupt)])
          for (let index = first; index < first + count; index++) expect(task.blocks(number)?.has(index)).toBe(true)
        })
        const reading = sources.map(async ({ chunkLength, given }) => {
          await using writer = task.write({ first: 0, end: 2, from: SOURCE })
          await giveAll(writer, content.subarray(0, given), chunkLength)
          await writer.end()
        })
        await Promise.all([...bringing, ...reading])
        await Promise.all(looks)
        await heldRightly(task, content)
        for (const piece of [0, 1]) {
          const set = await readableRightly(task, content, piece)
          const wanted = writers.filter((w) => w.number === piece && !w.lies && !w.leaves)
          for (const {
            range: [first, count],
          } of wanted) {
            for (let index = first; index < first + count; index++) expect(set).toContain(index)
          }
          expect(task.piece(piece) !== undefined).toBe(set.length === 3)
          if (task.piece(piece))
            expect(task.piece(piece)?.crc32).toBe(crc32(content.subarray(piece * PIECE, (piece + 1) * PIECE)))
        }
        await at.store.delete(task.meta.taskId)
      },
    ),
    { numRuns: 60 },
  )
})
