import { join } from 'node:path'
import { crc32 } from '@node-rs/crc32'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH } from '#core'
import type { HeldPiece, StoredTask } from './contract.ts'
import {
  contentOf,
  giveAll,
  heldRightly,
  metaOf,
  PIECE,
  readableRightly,
  recordOf,
  taskIdOf,
  tempStore,
  write,
  writeBlocks,
} from './testing.ts'

const content = contentOf(2 * PIECE + 12_345) // pieces of three blocks, and one of a short block
const meta = metaOf({ contentLength: content.length })
const corrupt = { code: 'piece.corrupt' }
const missing = { code: 'piece.missing' }

/** What the task tells, in order. */
function newsOf(task: StoredTask): (HeldPiece | number)[] {
  const news: (HeldPiece | number)[] = []
  task.onPiece((piece) => news.push(piece))
  task.onBlocks((number) => news.push(number))
  return news
}

test('blocks are readable one by one, in any order, and the last one makes the piece held', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const news = newsOf(task)
  expect(task.blocks(0)).toBeUndefined()
  await writeBlocks(task, content, { first: 2 })
  const asOfNow = task.blocks(0)
  expect(await readableRightly(task, content)).toEqual([2])
  await writeBlocks(task, content, { first: 0, parentId: 'parent-2' })
  expect(await readableRightly(task, content)).toEqual([0, 2])
  expect(asOfNow?.size).toBe(1)
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
  expect([task.piece(0), task.heldBytes, task.complete]).toEqual([undefined, 0, false])
  await writeBlocks(task, content, { first: 1 })
  const brought = new Map([
    ['parent-1', PIECE - BLOCK_LENGTH],
    ['parent-2', BLOCK_LENGTH],
  ])
  expect(news).toEqual([0, 0, { ...task.piece(0), brought }])
  expect(task.blocks(0)?.full).toBe(true)
  expect(task.piece(0)).toMatchObject({
    crc32: crc32(content.subarray(0, PIECE)),
    traffic: 'peer',
    parentId: 'parent-1',
    length: PIECE,
  })
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
  expect(await heldRightly(task, content)).toEqual([0])
})

test('several blocks of one request become readable while it goes on, and pieces of one short block are held at once', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await using writer = task.writeBlocks({ record: recordOf(task, content, 1), first: 1, count: 2, parentId: 'p' })
  const first = new Promise((resolve) => task.onBlocks(resolve))
  await giveAll(writer, content.subarray(PIECE + BLOCK_LENGTH, PIECE + 2 * BLOCK_LENGTH + 100))
  expect(await first).toBe(1)
  expect(await readableRightly(task, content, 1)).toEqual([1])
  await giveAll(writer, content.subarray(PIECE + 2 * BLOCK_LENGTH + 100, 2 * PIECE))
  expect(writer.full).toBe(true)
  expect(writer.space()).toHaveLength(0)
  await writer.end()
  expect(await readableRightly(task, content, 1)).toEqual([1, 2])
  await writeBlocks(task, content, { number: 2 })
  expect(await heldRightly(task, content)).toEqual([2])
})

test('a read ends before a hole, crosses from blocks to held pieces, and misses what is not here', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 2 })
  const target = Buffer.alloc(content.length)
  await expect(task.read(0, target)).rejects.toMatchObject(missing)
  await expect(task.read(2 * BLOCK_LENGTH - 1, target)).rejects.toMatchObject(missing)
  const start = 2 * BLOCK_LENGTH + 7
  expect(await task.read(start, target)).toBe(PIECE - start)
  await write(task, content, { first: 1, end: 2 })
  expect(await task.read(start, target)).toBe(2 * PIECE - start)
  expect(target.subarray(0, 2 * PIECE - start).equals(content.subarray(start, 2 * PIECE))).toBe(true)
  await writeBlocks(task, content, { first: 0 })
  expect(await task.read(5, target)).toBe(BLOCK_LENGTH - 5)
  await expect(task.export(join(at.dir, 'out'), { start: 0, end: 9 })).rejects.toMatchObject(missing)
})

test('a block that is not what the record says is never readable, and the others of its request stay', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const record = recordOf(task, content, 0)
  await using writer = task.writeBlocks({ record, first: 0, count: 3, parentId: 'liar' })
  const lie = Buffer.from(content)
  lie.writeUInt8(lie.readUInt8(BLOCK_LENGTH + 9) ^ 1, BLOCK_LENGTH + 9)
  await expect(giveAll(writer, lie.subarray(0, PIECE))).rejects.toMatchObject({
    message: expect.stringContaining('liar'),
  })
  expect(() => writer.space()).toThrow('record')
  await expect(writer.end()).rejects.toMatchObject(corrupt)
  expect(await readableRightly(task, content)).toEqual([0])
  await writeBlocks(task, content, { first: 1, count: 2 })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('blocks stay when their writer leaves early; half a block does not', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const record = recordOf(task, content, 0)
  {
    await using writer = task.writeBlocks({ record, first: 0, count: 3, parentId: 'p' })
    await giveAll(writer, content.subarray(0, 2 * BLOCK_LENGTH + 5))
  }
  expect(await readableRightly(task, content)).toEqual([0, 1])
  await using short = task.writeBlocks({ record, first: 1, count: 2, parentId: 'p' })
  await giveAll(short, content.subarray(BLOCK_LENGTH, 2 * BLOCK_LENGTH + 5))
  await expect(short.end()).rejects.toMatchObject(missing)
  expect(await readableRightly(task, content)).toEqual([0, 1])
})

test('a writer of what somebody else brings meanwhile takes its bytes and ends well, whatever they are', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const news = newsOf(task)
  const options = { record: recordOf(task, content, 0), first: 0, count: 3, parentId: 'slow' }
  await using same = task.writeBlocks(options)
  await using late = task.writeBlocks(options)
  await giveAll(same, content.subarray(0, 10))
  await writeBlocks(task, content, { first: 0, count: 2 })
  await giveAll(same, content.subarray(10, PIECE))
  await same.end()
  await giveAll(late, Buffer.alloc(PIECE))
  await late.end()
  await writeBlocks(task, Buffer.alloc(content.length), { record: options.record, first: 1, count: 2 })
  expect(news.filter((item) => typeof item !== 'number')).toHaveLength(1)
  expect(await heldRightly(task, content)).toEqual([0])
})

test('of a writer that got no byte, all is well when others brought its blocks, and missing when not', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const options = { record: recordOf(task, content, 0), first: 0, count: 2, parentId: 'idle' }
  await using lucky = task.writeBlocks({ ...options, count: 1 })
  await using other = task.writeBlocks(options)
  await writeBlocks(task, content, { first: 0 })
  await lucky.end()
  await expect(other.end()).rejects.toMatchObject(missing)
})

test('a record of another task, piece or length is refused, and blocks that a piece does not have', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const right = recordOf(task, content, 0)
  const wrong = [
    { taskId: taskIdOf(9) },
    { version: 'v2' },
    { pieceLength: PIECE + 1 },
    { number: 1 },
    { number: -1, offset: -PIECE },
    { number: 0.5, offset: PIECE / 2 },
    { number: 7, offset: 7 * PIECE },
    { offset: 1 },
    { length: PIECE - 1 },
    { blocks: right.blocks.subarray(0, 64) },
    { blocks: Buffer.concat([right.blocks, Buffer.alloc(32)]) },
  ]
  for (const changes of wrong) {
    const record = { ...right, ...changes }
    expect(() => task.writeBlocks({ record, first: 0, count: 1, parentId: 'p' })).toThrow(
      expect.objectContaining(corrupt),
    )
  }
  for (const [first, count] of [
    [0, 0],
    [-1, 2],
    [0, 4],
    [3, 1],
    [0.5, 1],
    [0, 1.5],
    [Number.NaN, 1],
  ] as const) {
    expect(() => task.writeBlocks({ record: right, first, count, parentId: 'p' })).toThrow(RangeError)
  }
  await writeBlocks(task, content)
})

test('more bytes than there is space for are refused', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const options = { record: recordOf(task, content, 0), first: 2, count: 1, parentId: 'p' }
  await using blind = task.writeBlocks(options)
  expect(() => blind.filled(1)).toThrow('less space')
  await using greedy = task.writeBlocks(options)
  expect(greedy.space()).toHaveLength(1000)
  expect(greedy.filled(0)).toBe(true)
  expect(() => greedy.filled(1001)).toThrow('less space')
  await expect(greedy.end()).rejects.toThrow('less space')
  expect(task.blocks(0)).toBeUndefined()
})

test('what a record says once it is believed stays so, whatever becomes of the message it came in', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const record = recordOf(task, content, 0)
  await writeBlocks(task, content, { record, first: 0 })
  record.blocks.fill(0)
  record.signature.fill(0)
  await writeBlocks(task, content, { first: 1, count: 2 })
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
})

test('without a known length blocks of whole pieces come, and those of the last one when the length is told', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  await writeBlocks(task, content, { number: 1, first: 0, count: 3 })
  expect(await heldRightly(task, content)).toEqual([1])
  const last = { record: recordOf(task, content, 2), first: 0, count: 1, parentId: 'p' }
  expect(() => task.writeBlocks(last)).toThrow('none of this task')
  await task.setContentLength(content.length)
  await writeBlocks(task, content, { number: 2 })
  expect(await heldRightly(task, content)).toEqual([1, 2])
})

test('a length that contradicts a record takes its blocks away, and nothing is held by it', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  const shorter = content.subarray(0, PIECE + 700_000)
  const record = recordOf(task, content, 1)
  await using writer = task.writeBlocks({ record, first: 1, count: 2, parentId: 'p' })
  await writeBlocks(task, content, { number: 1, first: 0 })
  const settling = task.setContentLength(shorter.length)
  expect([task.blocks(1), task.record(1)]).toEqual([undefined, undefined])
  await settling
  await giveAll(writer, content.subarray(PIECE + BLOCK_LENGTH, 2 * PIECE))
  await expect(writer.end()).rejects.toMatchObject(missing)
  await writeBlocks(task, shorter, { number: 1, first: 0, count: 2 })
  expect(await heldRightly(task, shorter)).toEqual([1])
})

test('a listener that throws harms neither the writing nor the other listeners', async () => {
  const warnings: string[] = []
  await using at = await tempStore({ warn: (message) => warnings.push(message) })
  const task = await at.store.open(meta)
  let told = 0
  task.onBlocks(() => {
    throw new Error('no')
  })
  const stop = task.onBlocks(() => told++)
  await writeBlocks(task, content, { first: 0 })
  stop()
  await writeBlocks(task, content, { first: 1 })
  expect([told, warnings.length]).toEqual([1, 2])
  expect(await readableRightly(task, content)).toEqual([0, 1])
})
