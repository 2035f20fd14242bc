import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import type { TaskStore } from './contract.ts'
import {
  contentOf,
  giveAll,
  heldRightly,
  metaOf,
  openStore,
  PIECE,
  SOURCE,
  storedTask,
  taskIdOf,
  tempDir,
  tempStore,
  write,
} from './testing.ts'

const content = contentOf(2 * PIECE + 5000)

function generations(dir: string, taskId: string): string[] {
  const path = join(dir, 'tasks', taskId.slice(0, 3), taskId)
  return existsSync(path) ? readdirSync(path) : []
}

async function close(store: TaskStore): Promise<void> {
  await store[Symbol.asyncDispose]()
}

test('a finished task, half a task and what is known of them are found again after a restart', async () => {
  using dir = tempDir()
  const meta = metaOf({ contentLength: content.length, headers: { 'content-type': 'a/ö' }, filteredQueryParams: ['x'] })
  const half = metaOf({ taskId: taskIdOf(1) })
  const signers = [{ hostId: 'seed', publicKey: new Uint8Array(32).fill(3) }]
  const validators = { etag: '"learnt"', lastModified: '' }
  {
    await using store = await openStore(dir.path)
    const task = await store.open(meta)
    task.signers = signers
    task.validators = validators
    await write(task, content, {
      sign: () => ({ signer: 'seed', signature: new Uint8Array(64), contentLength: undefined }),
    })
    const other = await store.open(half)
    await write(other, content, { first: 1, end: 2, from: { traffic: 'peer', parentId: 'p' } })
  }
  await using store = await openStore(dir.path)
  expect(
    store
      .list()
      .map((task) => task.meta.taskId)
      .toSorted(),
  ).toEqual([half.taskId, meta.taskId].toSorted())
  const task = store.get(meta.taskId)
  expect(task?.meta).toEqual(meta)
  expect(task).toMatchObject({
    complete: true,
    heldBytes: content.length,
    signers,
    validators,
    contentLength: content.length,
  })
  expect(task?.record(0)?.signer).toBe('seed')
  expect(task && (await heldRightly(task, content))).toEqual([0, 1, 2])
  const resumed = await store.open(half)
  expect(await heldRightly(resumed, content)).toEqual([1])
  expect(resumed).toMatchObject({ complete: false, contentLength: undefined })
  await write(resumed, content)
  expect(resumed.complete).toBe(true)
  expect(await heldRightly(resumed, content)).toEqual([0, 1, 2])
})

test('open gives the same task to everyone, and learns a length that was not known', async () => {
  await using at = await tempStore()
  const [one, two] = await Promise.all([at.store.open(metaOf()), at.store.open(metaOf())])
  expect(one).toBe(two)
  await at.store.open(metaOf({ contentLength: 77 }))
  expect(one.contentLength).toBe(77)
})

test('another version, length of content or length of pieces is another content; readers finish on the old one', async () => {
  await using at = await tempStore()
  const old = await storedTask(at.store, content)
  const { taskId } = old.meta
  const other = contentOf(content.length, 9)
  {
    using _hold = old.hold()
    const fresh = await storedTask(at.store, other, { version: 'v2' })
    expect(fresh).not.toBe(old)
    expect(at.store.get(taskId)).toBe(fresh)
    expect(await heldRightly(old, content)).toEqual([0, 1, 2])
    expect(await heldRightly(fresh, other)).toEqual([0, 1, 2])
    expect(generations(at.dir, taskId)).toEqual(['1', '2'])
  }
  await expect.poll(() => generations(at.dir, taskId)).toEqual(['2'])
  await expect(old.read(0, new Uint8Array(10))).rejects.toMatchObject({ code: 'storage.failed' })
  await at.store.open(metaOf({ version: 'v2', contentLength: content.length + 1 }))
  await expect.poll(() => generations(at.dir, taskId)).toEqual(['3'])
  await at.store.open(metaOf({ version: 'v2', contentLength: content.length + 1, pieceLength: PIECE + 1 }))
  await expect.poll(() => generations(at.dir, taskId)).toEqual(['4'])
})

test('a deleted task is gone at once, its bytes as soon as nobody reads them', async () => {
  await using at = await tempStore()
  const task = await storedTask(at.store, content)
  const { taskId } = task.meta
  const hold = task.hold()
  await at.store.delete(taskId)
  expect(at.store.get(taskId)).toBeUndefined()
  expect(at.store.heldBytes).toBe(0)
  expect(await heldRightly(task, content)).toEqual([0, 1, 2])
  const again = await at.store.open(metaOf())
  expect(again.pieces()).toEqual([])
  hold[Symbol.dispose]()
  hold[Symbol.dispose]()
  await expect.poll(() => generations(at.dir, taskId)).toEqual(['2'])
  await at.store.delete(taskId)
  expect(generations(at.dir, taskId)).toEqual([])
  await at.store.delete(taskId)
})

test('what a task does not hold cannot be read, and reading ends where holding ends', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  await write(task, content, { first: 1, end: 2 })
  const missing = { code: 'piece.missing' }
  await expect(task.read(0, new Uint8Array(5))).rejects.toMatchObject(missing)
  await expect(task.read(2 * PIECE, new Uint8Array(5))).rejects.toMatchObject(missing)
  const bytes = Buffer.alloc(500)
  expect(await task.read(2 * PIECE - 100, bytes)).toBe(100)
  expect(bytes.subarray(0, 100).equals(content.subarray(2 * PIECE - 100, 2 * PIECE))).toBe(true)
  await write(task, content)
  expect(await task.read(content.length - 7, bytes)).toBe(7)
  expect(await task.read(content.length, bytes)).toBe(0)
  await expect(task.read(content.length + 1, bytes)).rejects.toMatchObject(missing)
})

test('eviction removes what is idle for too long, then the longest unused, and never what is in use', async () => {
  using dir = tempDir()
  const small = content.subarray(0, 1000)
  const now = Date.now()
  {
    await using store = await openStore(dir.path)
    for (let number = 0; number < 4; number++) {
      await storedTask(store, small, { taskId: taskIdOf(number) })
      await new Promise((resolve) => setTimeout(resolve, 12))
    }
    await store.get(taskIdOf(0))?.read(0, new Uint8Array(1))
  }
  await using store = await openStore(dir.path)
  expect(store.heldBytes).toBe(4000)
  expect(await store.evict({ capacityBytes: 4000, idleMs: 0, now: now + 1e12 })).toEqual([])
  const hold = store.get(taskIdOf(2))?.hold()
  expect(await store.evict({ capacityBytes: 3000, idleMs: 0, now })).toEqual([taskIdOf(1)]) // 0 was used after it
  expect(await store.evict({ capacityBytes: 1000, idleMs: 0, now })).toEqual([taskIdOf(3), taskIdOf(0)])
  expect(await store.evict({ capacityBytes: 0, idleMs: 1, now: now + 1e9 })).toEqual([])
  hold?.[Symbol.dispose]()
  expect(await store.evict({ capacityBytes: 1e9, idleMs: 60_000, now: now + 1000 })).toEqual([])
  expect(await store.evict({ capacityBytes: 1e9, idleMs: 60_000, now: now + 100_000 })).toEqual([taskIdOf(2)])
  expect(store.list()).toEqual([])
  expect(store.heldBytes).toBe(0)
})

test('a writer counts as use: eviction leaves its task alone', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  {
    await using writer = task.write({ first: 0, from: SOURCE })
    await giveAll(writer, content.subarray(0, PIECE))
    expect(await at.store.evict({ capacityBytes: 0, idleMs: 0, now: Date.now() })).toEqual([])
    await writer.end()
  }
  expect(await at.store.evict({ capacityBytes: 0, idleMs: 0, now: Date.now() })).toEqual([task.meta.taskId])
})

test('verify drops the pieces whose bytes changed on disk, and they can be fetched again', async () => {
  await using at = await tempStore()
  const task = await storedTask(at.store, content)
  const path = join(at.dir, 'tasks', 'aba', task.meta.taskId, '1', 'content')
  const damaged = Buffer.from(content)
  damaged.fill(0, PIECE + 3, PIECE + 9)
  writeFileSync(path, damaged, { flag: 'r+' })
  expect(await at.store.verify(task.meta.taskId)).toEqual({ dropped: 1 })
  expect(task.complete).toBe(false)
  expect(await heldRightly(task, content)).toEqual([0, 2])
  await write(task, content)
  expect(await heldRightly(task, content)).toEqual([0, 1, 2])
  expect(await at.store.verify(task.meta.taskId)).toEqual({ dropped: 0 })
  await expect(at.store.verify(taskIdOf(5))).rejects.toMatchObject({ code: 'task.unknown' })
})

test('a second store in the same directory is refused, by name, until the first one is closed', async () => {
  using dir = tempDir()
  const store = await openStore(dir.path)
  const refused = { code: 'storage.in_use', message: expect.stringContaining(dir.path) }
  await expect(openStore(dir.path)).rejects.toMatchObject(refused)
  await close(store)
  await close(await openStore(dir.path))
})

test('everything is for its owner alone, whatever the umask', async () => {
  const before = process.umask(0)
  try {
    await using at = await tempStore()
    const dir = join(at.dir, 'storage')
    await using store = await openStore(dir)
    const task = await storedTask(store, content)
    const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)
    const generation = join(dir, 'tasks', task.meta.taskId.slice(0, 3), task.meta.taskId, '1')
    for (let path = generation; path !== at.dir; path = dirname(path)) expect([path, mode(path)]).toEqual([path, '700'])
    for (const file of [join(generation, 'content'), join(generation, 'journal'), join(dir, 'lock')]) {
      expect([file, mode(file)]).toEqual([file, '600'])
    }
  } finally {
    process.umask(before)
  }
})

test('a directory that others may write to is refused with advice', async () => {
  using dir = tempDir()
  for (const mode of [0o777, 0o770, 0o702]) {
    chmodSync(dir.path, mode)
    await expect(openStore(dir.path)).rejects.toMatchObject({
      code: 'storage.failed',
      message: expect.stringMatching(`${dir.path} can be written by other users; run: chmod 700`),
    })
  }
  chmodSync(dir.path, 0o755)
  await close(await openStore(dir.path))
})

test('only a task id becomes a path', async () => {
  await using at = await tempStore()
  for (const taskId of ['../../etc', '', 'AB'.repeat(32), `${'ab'.repeat(31)}/.`]) {
    await expect(at.store.open(metaOf({ taskId }))).rejects.toMatchObject({ code: 'storage.failed' })
  }
  for (const length of [-1, 0.5, Number.NaN, 2 ** 53]) {
    await expect(at.store.open(metaOf({ contentLength: length }))).rejects.toMatchObject({ code: 'storage.failed' })
    await expect(at.store.open(metaOf({ pieceLength: length }))).rejects.toMatchObject({ code: 'storage.failed' })
  }
  await expect(at.store.open(metaOf({ headers: { a: 'x'.repeat(2 ** 20) } }))).rejects.toMatchObject({
    code: 'storage.failed',
  })
  expect(readdirSync(at.dir)).toEqual(['lock'])
})

test('leftovers of an earlier process are removed at start, with one warning each', async () => {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path)
    await storedTask(store, content)
    await storedTask(store, content, { taskId: taskIdOf(1) })
  }
  const task = join(dir.path, 'tasks', 'aba', 'ab'.repeat(32))
  mkdirSync(join(task, '2')) // killed before the first line was written
  writeFileSync(join(task, '1', 'content.new'), 'half')
  const other = join(dir.path, 'tasks', '000', taskIdOf(1))
  mkdirSync(join(other, '3'))
  writeFileSync(join(other, '3', 'journal'), 'nonsense\n')
  const empty = join(dir.path, 'tasks', '000', taskIdOf(2))
  mkdirSync(empty)
  writeFileSync(join(dir.path, 'tasks', 'notes.txt'), 'not ours')
  const warnings: string[] = []
  await using store = await openStore(dir.path, { warn: (message) => warnings.push(message) })
  expect(warnings.toSorted()).toEqual([
    `removed ${join(other, '3')}: its journal cannot be read`,
    `removed ${join(task, '2')}: its journal cannot be read`,
  ])
  expect(store.list()).toHaveLength(2)
  expect(store.list().every((task) => task.complete)).toBe(true)
  expect(readdirSync(task)).toEqual(['1'])
  expect(readdirSync(join(task, '1')).toSorted()).toEqual(['content', 'journal'])
  expect(existsSync(empty)).toBe(false)
  expect(existsSync(join(dir.path, 'tasks', 'notes.txt'))).toBe(true)
})

test('the older of two versions that a crash left is removed', async () => {
  using dir = tempDir()
  const store = await openStore(dir.path)
  const old = await storedTask(store, content)
  const hold = old.hold()
  await storedTask(store, contentOf(500, 3), { version: 'v2', contentLength: 500 })
  await close(store) // as a crash would: the old one is still held
  await using again = await openStore(dir.path)
  expect(generations(dir.path, old.meta.taskId)).toEqual(['2'])
  expect(again.get(old.meta.taskId)).toMatchObject({ complete: true, contentLength: 500 })
  hold[Symbol.dispose]()
})

test('more tasks than files may be open at once are served', async () => {
  await using at = await tempStore()
  const count = 300
  for (let number = 0; number < count; number++) {
    await storedTask(at.store, contentOf(100, number), { taskId: taskIdOf(number) })
  }
  expect(readdirSync('/proc/self/fd').length).toBeLessThan(200)
  for (let number = 0; number < count; number++) {
    const task = at.store.get(taskIdOf(number))
    expect(task && (await heldRightly(task, contentOf(100, number)))).toEqual([0])
  }
})
