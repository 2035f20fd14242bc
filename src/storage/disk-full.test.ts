import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Failure } from '#core'
import {
  contentOf,
  heldRightly,
  metaOf,
  mountTmpfs,
  openStore,
  PIECE,
  readableRightly,
  storedTask,
  taskIdOf,
  tempDir,
  write,
  writeBlocks,
} from './testing.ts'

const content = contentOf(5 * PIECE)
const meta = metaOf({ contentLength: content.length })
const NO_MOUNT = 'needs the right to mount; crash.test.ts shows the same with a limit of file sizes'

test('on a full disk nothing is half listed, the error tells the space, and it goes on once there is room', async ({
  skip,
}) => {
  using dir = tempDir()
  const path = join(dir.path, 'small')
  using mounted = mountTmpfs(path, '4m')
  if (mounted === undefined) return skip(NO_MOUNT)
  await using store = await openStore(path)
  const other = await storedTask(store, contentOf(PIECE), { taskId: taskIdOf(1) })
  const task = await store.open(meta)
  await expect(write(task, content)).rejects.toMatchObject({
    code: 'storage.full',
    message: expect.stringMatching(/cannot write .*content: no space left \(.* of 4\.00 MiB free\)/),
  })
  const held = await heldRightly(task, content)
  expect(held.length).toBeGreaterThan(0)
  expect(held.length).toBeLessThan(4)
  await store.delete(other.meta.taskId)
  await write(task, content, { first: held.length, end: held.length + 1 })
  expect((await heldRightly(task, content)).length).toBe(held.length + 1)
})

test('wherever the disk becomes full, in the content or in the journal, what is listed is right, also afterwards', async ({
  skip,
}) => {
  using dir = tempDir()
  const path = join(dir.path, 'small')
  using mounted = mountTmpfs(path, '5m')
  if (mounted === undefined) return skip(NO_MOUNT)
  const filler = join(path, 'filler')
  let full = 0
  for (let pages = 0; pages <= 1200; pages += 37) {
    const held: number[][] = []
    {
      await using store = await openStore(path)
      try {
        const task = await store.open(metaOf({ contentLength: undefined }))
        writeFileSync(filler, Buffer.alloc(pages * 4096))
        await write(task, content.subarray(0, 4 * PIECE), { chunkLength: 200_000 })
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^(storage\.full|ENOSPC)$/) })
        full++
      }
      const task = store.get(meta.taskId)
      held.push(task ? await heldRightly(task, content) : [])
      rmSync(filler, { force: true })
    }
    {
      await using store = await openStore(path)
      const task = store.get(meta.taskId)
      held.push(task ? await heldRightly(task, content) : [])
      await store.delete(meta.taskId)
    }
    expect(held[1]).toEqual(held[0])
    expect(readdirSync(join(path, 'tasks', 'aba'))).toEqual([])
  }
  expect(full).toBeGreaterThan(10)
})

test('wherever the disk becomes full while blocks are written, the good ones stay, and the piece is held once there is room', async ({
  skip,
}) => {
  using dir = tempDir()
  const path = join(dir.path, 'small')
  using mounted = mountTmpfs(path, '2m')
  if (mounted === undefined) return skip(NO_MOUNT)
  const filler = join(path, 'filler')
  const longLine = { ...meta, headers: { etag: 'x'.repeat(3400) } } // the line of a piece needs another page
  const told = new Set<string>()
  // Blocks have 128, 128 and 1 of 512 pages; around 253 it is the last block, or the journal, that finds none.
  for (const pages of [0, 130, 249, 250, 251, 252, 253, 254, 255, 256, 380, 381, 382, 383, 500]) {
    await using store = await openStore(path)
    const task = await store.open(longLine)
    writeFileSync(filler, Buffer.alloc(pages * 4096))
    const right = new Set<number>()
    for (const first of [1, 0, 2]) {
      const error = await writeBlocks(task, content, { first }).catch((reason: Failure) => reason)
      if (error === undefined) right.add(first)
      else expect(error).toMatchObject({ code: 'storage.full' })
      if (error !== undefined) told.add(`${first} ${/journal|content/.exec(error.message)?.[0]}`)
    }
    expect(new Set(await readableRightly(task, content))).toEqual(right)
    rmSync(filler)
    for (const first of [0, 1, 2]) if (!right.has(first)) await writeBlocks(task, content, { first })
    expect(await heldRightly(task, content)).toEqual([0])
    await store.delete(meta.taskId)
  }
  expect(told).toEqual(new Set(['1 content', '0 content', '2 content', '2 journal']))
})

test('a task that does not even get its journal is storage.full and leaves nothing', async ({ skip }) => {
  using dir = tempDir()
  const path = join(dir.path, 'small')
  using mounted = mountTmpfs(path, '64k')
  if (mounted === undefined) return skip(NO_MOUNT)
  await using store = await openStore(path)
  expect(() => writeFileSync(join(path, 'filler'), Buffer.alloc(100_000))).toThrow('ENOSPC')
  await expect(store.open(meta)).rejects.toMatchObject({ code: 'storage.full' })
  expect(store.list()).toEqual([])
  rmSync(join(path, 'filler'))
  const task = await store.open(meta)
  expect(task.pieces()).toEqual([])
})
