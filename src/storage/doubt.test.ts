import { readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { contentOf, heldRightly, metaOf, openStore, PIECE, storedTask, tempDir, write } from './testing.ts'

const content = contentOf(3 * PIECE)
const meta = metaOf({ contentLength: content.length })

function pathIn(dir: string, name: string): string {
  return join(dir, 'tasks', 'aba', meta.taskId, '1', name)
}

/** Stores a whole task, loses what a power cut may lose (to `damage`), and says what is found after the restart. */
async function afterPowerCut(damage: (contentPath: string) => void, boot = 'second') {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path, { boot: 'first' })
    await storedTask(store, content)
  }
  damage(pathIn(dir.path, 'content'))
  const found = async (): Promise<number[]> => {
    await using store = await openStore(dir.path, { boot })
    return await heldRightly(await store.open(meta), content)
  }
  return [await found(), await found()] // the second time nothing has to be read again
}

const zeroes = (path: string): void => writeFileSync(path, contentOf(PIECE).fill(0), { flag: 'r+' })

test('after the machine was restarted pieces whose bytes did not reach the disk are dropped, the others kept', async () => {
  expect(await afterPowerCut(zeroes)).toEqual([
    [1, 2],
    [1, 2],
  ])
  expect(await afterPowerCut((path) => truncateSync(path, 2 * PIECE + 7))).toEqual([
    [0, 1],
    [0, 1],
  ])
  expect(await afterPowerCut((path) => rmSync(path))).toEqual([[], []])
  expect(await afterPowerCut(() => undefined)).toEqual([
    [0, 1, 2],
    [0, 1, 2],
  ])
})

test('where the kernel does not tell its boot everything is checked each time', async () => {
  expect(await afterPowerCut(zeroes, '')).toEqual([
    [1, 2],
    [1, 2],
  ])
})

test('in the same run of the machine a content file that is too short is noticed without reading it', async () => {
  expect(await afterPowerCut((path) => truncateSync(path, PIECE), 'first')).toEqual([[0], [0]])
})

test('get does not wait: pieces in doubt appear one by one as they are found to be right', async () => {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path, { boot: 'first' })
    await storedTask(store, content)
  }
  zeroes(pathIn(dir.path, 'content'))
  await using store = await openStore(dir.path, { boot: 'second' })
  const task = store.get(meta.taskId)
  expect(task?.pieces()).toEqual([])
  expect(task?.complete).toBe(false)
  expect(store.heldBytes).toBe(content.length)
  const told: number[] = []
  task?.onPiece((piece) => told.push(piece.number))
  await expect.poll(() => told).toEqual([1, 2])
  expect(task && (await heldRightly(task, content))).toEqual([1, 2])
})

test('whoever writes into a task in doubt neither harms a good piece nor loses a new one', async () => {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path, { boot: 'first' })
    await storedTask(store, content)
  }
  zeroes(pathIn(dir.path, 'content'))
  {
    await using store = await openStore(dir.path, { boot: 'second' })
    const task = store.get(meta.taskId)
    if (task === undefined) throw new Error('not found')
    const other = contentOf(content.length, 5) // a source that changed: its bytes must not mix with what is held
    other.set(content.subarray(0, PIECE))
    await write(task, other)
    expect(task.complete).toBe(true)
    expect(await heldRightly(task, content)).toEqual([0, 1, 2])
  }
  await using store = await openStore(dir.path, { boot: 'second' })
  expect(await heldRightly(await store.open(meta), content)).toEqual([0, 1, 2])
})

test('a journal that vanished takes its task with it, and nothing else', async () => {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path)
    await storedTask(store, content)
  }
  rmSync(pathIn(dir.path, 'journal'))
  await using store = await openStore(dir.path)
  expect(store.list()).toEqual([])
  expect(readdirSync(join(dir.path, 'tasks', 'aba'))).toEqual([])
})
