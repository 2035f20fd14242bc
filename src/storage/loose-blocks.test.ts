import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { BLOCK_LENGTH } from '#core'
import {
  contentOf,
  giveAll,
  heldRightly,
  metaOf,
  openStore,
  PIECE,
  readableRightly,
  recordOf,
  tempDir,
  tempStore,
  writeBlocks,
} from './testing.ts'

const content = contentOf(2 * PIECE + 12_345)
const meta = metaOf({ contentLength: content.length })
const missing = { code: 'piece.missing' }

test('what was written to a deleted task can still be read by who holds it, and is gone for everyone else', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const writer = task.writeBlocks({ record: recordOf(task, content, 0), first: 0, count: 2, parentId: 'p' })
  await giveAll(writer, content.subarray(0, BLOCK_LENGTH))
  await at.store.delete(meta.taskId)
  await giveAll(writer, content.subarray(BLOCK_LENGTH, 2 * BLOCK_LENGTH))
  using _hold = task.hold()
  await writer.end()
  expect(await readableRightly(task, content)).toEqual([0, 1])
  expect((await at.store.open(meta)).blocks(0)).toBeUndefined()
})

test('of a task that is closed while its blocks are written no more becomes readable, and the writer hears of it', async () => {
  const at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 0 })
  const writer = task.writeBlocks({ record: recordOf(task, content, 0), first: 1, count: 2, parentId: 'p' })
  await giveAll(writer, content.subarray(BLOCK_LENGTH, 2 * BLOCK_LENGTH - 1))
  await at[Symbol.asyncDispose]()
  await giveAll(writer, content.subarray(2 * BLOCK_LENGTH - 1, PIECE)).catch(() => undefined)
  await expect(writer.end()).rejects.toMatchObject({ code: 'storage.failed' })
  expect(task.blocks(0)?.size).toBe(1)
})

test('after a restart only whole pieces are here', async () => {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path)
    const task = await store.open(meta)
    await writeBlocks(task, content, { number: 1, first: 0, count: 3 })
    await writeBlocks(task, content, { first: 0, count: 2 })
    expect(store.heldBytes).toBe(PIECE + 2 * BLOCK_LENGTH) // what eviction counts
    expect(task.heldBytes).toBe(PIECE)
  }
  await using store = await openStore(dir.path)
  const task = await store.open(meta)
  expect([task.blocks(0), task.record(0)]).toEqual([undefined, undefined])
  expect(await heldRightly(task, content)).toEqual([1])
  await writeBlocks(task, content, { first: 0, count: 3 })
  expect(await heldRightly(task, content)).toEqual([0, 1])
})

test('a task that is looked over forgets its loose blocks, and its writers go on', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await using writer = task.writeBlocks({ record: recordOf(task, content, 0), first: 1, count: 2, parentId: 'p' })
  await writeBlocks(task, content, { first: 0 })
  expect(await at.store.verify(meta.taskId)).toEqual({ dropped: 0 })
  expect(task.blocks(0)).toBeUndefined()
  await giveAll(writer, content.subarray(BLOCK_LENGTH, PIECE))
  await writer.end()
  expect(await readableRightly(task, content)).toEqual([1, 2])
  await writeBlocks(task, content, { first: 0 })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('what is read while it is forgotten is not passed on', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 0, count: 2 })
  // Much later: what was written just now would be read at once.
  const later = performance.now() + 60_000
  vi.spyOn(performance, 'now').mockReturnValue(later)
  onTestFinished(() => void vi.restoreAllMocks())
  const reading = task.read(0, Buffer.alloc(BLOCK_LENGTH))
  for (let turn = 0; turn < 10; turn++) await Promise.resolve() // the disk is asked, and cannot have answered yet
  const verifying = at.store.verify(meta.taskId)
  await expect(reading).rejects.toMatchObject(missing)
  await verifying
})

test('blocks that the disk lost are found out when they are read', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 0, count: 2 })
  const dir = join(at.dir, 'tasks', meta.taskId.slice(0, 3), meta.taskId)
  truncateSync(join(dir, String(readdirSync(dir)[0]), 'content'), BLOCK_LENGTH + 10)
  await expect(task.read(BLOCK_LENGTH, Buffer.alloc(100))).rejects.toMatchObject(missing)
  expect(task.blocks(0)).toBeUndefined()
})
