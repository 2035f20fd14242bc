import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { StoredTask } from './contract.ts'
import {
  contentOf,
  giveAll,
  heldRightly,
  metaOf,
  mountTmpfs,
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

/** A complete task, and a directory on the same file system for its outputs. */
async function storedOutput() {
  const at = await tempStore()
  const out = tempDir()
  const task = await storedTask(at.store, content)
  const close = async (): Promise<void> => {
    await at[Symbol.asyncDispose]()
    out[Symbol.dispose]()
  }
  return { task, store: at.store, dir: at.dir, out: out.path, [Symbol.asyncDispose]: close }
}

function contentFile(dir: string): string {
  return join(dir, 'tasks', 'aba', 'ab'.repeat(32), '1', 'content')
}

test('a whole output has the bytes and the mode that any new file gets, and leaves no other file behind', async () => {
  await using at = await storedOutput()
  const before = process.umask(0o027)
  try {
    const path = join(at.out, 'new', 'sub', 'file.bin')
    const made = await at.task.export(path)
    expect(made.bytes).toBe(content.length)
    expect(readFileSync(path).equals(content)).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o640)
    expect(readdirSync(join(at.out, 'new', 'sub'))).toEqual(['file.bin'])
  } finally {
    process.umask(before)
  }
})

test('on one file system the output costs no second copy, unless others could then write into the storage', async () => {
  await using at = await storedOutput()
  expect(['link', 'reflink']).toContain((await at.task.export(join(at.out, 'a'))).by)
  const before = process.umask(0)
  try {
    const other = await storedTask(at.store, content, { taskId: taskIdOf(4) })
    const { by } = await other.export(join(at.out, 'b'))
    expect(['copy', 'reflink']).toContain(by)
    expect(statSync(join(at.out, 'b')).mode & 0o777).toBe(0o666)
  } finally {
    process.umask(before)
  }
})

test('a second output of the same task shares nothing with the first', async () => {
  await using at = await storedOutput()
  await at.task.export(join(at.out, 'a'))
  await at.task.export(join(at.out, 'b'))
  writeFileSync(join(at.out, 'a'), 'edited', { flag: 'r+' })
  expect(readFileSync(join(at.out, 'b')).equals(content)).toBe(true)
})

test('the same output twice is done at once, and stays right', async () => {
  await using at = await storedOutput()
  const path = join(at.out, 'a')
  await at.task.export(path)
  await at.task.export(path)
  expect(readFileSync(path).equals(content)).toBe(true)
  expect(readdirSync(at.out)).toEqual(['a'])
  await at.task.export(path, { start: 10, end: 19, atOffset: true })
  expect(readFileSync(path).equals(content)).toBe(true)
  expect(await heldRightly(at.task, content)).toHaveLength(3)
  expect(await at.task.export(path, { start: 0, end: 9 })).toEqual({ bytes: 10, by: 'copy' })
  expect(readFileSync(path).equals(content.subarray(0, 10))).toBe(true)
})

test('the same output by several downloads at once is right, and nothing else is left beside it', async () => {
  await using at = await storedOutput()
  const path = join(at.out, 'file.bin')
  await Promise.all(Array.from({ length: 8 }, () => at.task.export(path)))
  expect(readFileSync(path).equals(content)).toBe(true)
  expect(readdirSync(at.out)).toEqual(['file.bin'])
})

test('an existing file or link is replaced by a whole one; what it pointed to stays', async () => {
  await using at = await storedOutput()
  const target = join(at.out, 'precious')
  writeFileSync(target, 'keep me')
  symlinkSync(target, join(at.out, 'symlink'))
  linkSync(target, join(at.out, 'hardlink'))
  for (const name of ['symlink', 'hardlink']) {
    await at.task.export(join(at.out, name))
    expect(lstatSync(join(at.out, name)).isFile()).toBe(true)
    expect(readFileSync(join(at.out, name)).equals(content)).toBe(true)
  }
  expect(readFileSync(target, 'utf8')).toBe('keep me')
})

test('a range becomes a file of its own, or goes to its own offset in the file that is there', async () => {
  await using at = await storedOutput()
  const path = join(at.out, 'part')
  const [start, end] = [PIECE - 10, PIECE + 600_000]
  const part = content.subarray(start, end + 1)
  expect(await at.task.export(path, { start, end })).toEqual({ bytes: part.length, by: 'copy' })
  expect(readFileSync(path).equals(part)).toBe(true)

  const whole = Buffer.alloc(content.length + 100, 'x')
  writeFileSync(path, whole)
  await at.task.export(path, { start, end, atOffset: true })
  part.copy(whole, start)
  expect(readFileSync(path).equals(whole)).toBe(true)

  const sparse = join(at.out, 'sparse')
  await at.task.export(sparse, { start, end, atOffset: true })
  expect(readFileSync(sparse).equals(Buffer.concat([Buffer.alloc(start), part]))).toBe(true)
  expect(await at.task.export(join(at.out, 'tail'), { start: content.length - 5 })).toEqual({ bytes: 5, by: 'copy' })
  await at.task.export(join(at.out, 'all'), { start: 0, end: content.length - 1 })
  expect(readFileSync(join(at.out, 'all')).equals(content)).toBe(true)
})

test('a part can go out as soon as its own pieces are held; anything else is piece.missing', async () => {
  await using at = await tempStore()
  using out = tempDir()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  await write(task, content, { first: 1, end: 2 })
  await task.export(join(out.path, 'f'), { start: PIECE, end: 2 * PIECE - 1 })
  expect(readFileSync(join(out.path, 'f')).equals(content.subarray(PIECE, 2 * PIECE))).toBe(true)
  const missing = { code: 'piece.missing' }
  await expect(task.export(join(out.path, 'g'), { start: PIECE, end: 2 * PIECE })).rejects.toMatchObject(missing)
  await expect(task.export(join(out.path, 'g'))).rejects.toMatchObject(missing)
  const unknown = await at.store.open(metaOf({ taskId: taskIdOf(3) }))
  await expect(unknown.export(join(out.path, 'g'))).rejects.toMatchObject(missing)
  expect(readdirSync(out.path)).toEqual(['f'])
})

test('a path that is no place for a file is output.invalid, names it, and keeps what is there', async () => {
  await using at = await storedOutput()
  mkdirSync(join(at.out, 'dir'))
  writeFileSync(join(at.out, 'file'), 'x')
  execFileSync('mkfifo', [join(at.out, 'fifo')])
  symlinkSync('dir', join(at.out, 'link-to-dir'))
  symlinkSync('/dev/null', join(at.out, 'null'))
  const bad = ['dir', 'file/below', 'fifo', 'link-to-dir', 'null', 'dir/', 'new/', 'n'.repeat(300)]
  for (const name of bad) {
    for (const options of [{}, { start: 1, end: 2 }, { start: 1, end: 2, atOffset: true }]) {
      await expect(at.task.export(`${at.out}/${name}`, options), name).rejects.toMatchObject({
        code: 'output.invalid',
        message: expect.stringContaining(name),
      })
    }
  }
  expect(readdirSync(at.out).toSorted()).toEqual(['dir', 'fifo', 'file', 'link-to-dir', 'null'])
  expect(readdirSync(join(at.out, 'dir'))).toEqual([])
})

test('a long file name and a name of one byte less than the limit work', async () => {
  await using at = await storedOutput()
  for (const name of ['ä'.repeat(127), 'n'.repeat(255)]) {
    await at.task.export(join(at.out, name))
    expect(statSync(join(at.out, name)).size).toBe(content.length)
  }
})

test('an empty task makes an empty file', async () => {
  await using at = await tempStore()
  using out = tempDir()
  const task = await at.store.open(metaOf({ contentLength: 0 }))
  expect(task.complete).toBe(true)
  await task.export(join(out.path, 'empty'))
  expect(statSync(join(out.path, 'empty')).size).toBe(0)
})

test('bytes that an earlier, longer reading left behind the end do not reach the output', async () => {
  await using at = await tempStore()
  using out = tempDir()
  const task = await at.store.open(metaOf())
  {
    await using writer = task.write({ first: 0, from: SOURCE })
    await giveAll(writer, contentOf(PIECE - 1, 8))
  }
  await write(task, content.subarray(0, 600_000))
  await task.export(join(out.path, 'f'))
  expect(readFileSync(join(out.path, 'f')).equals(content.subarray(0, 600_000))).toBe(true)
})

type Edit = (path: string) => void
const edits: Record<string, Edit> = {
  'a byte is written over': (path) => writeFileSync(path, 'X', { flag: 'r+' }),
  'it is emptied by a redirection': (path) => execFileSync('sh', ['-c', ': > "$0"', path]),
  'something is appended': (path) => writeFileSync(path, 'more', { flag: 'a' }),
  'it is cut short': (path) => execFileSync('truncate', ['-s', '1000', path]),
  'it becomes writable for others': (path) => chmodSync(path, 0o666),
  'it is touched': (path) => execFileSync('touch', [path]),
}

for (const [what, edit] of Object.entries(edits)) {
  test(`when an output is edited in place (${what}), nobody is served a wrong byte and the edit stays`, async () => {
    using dir = tempDir()
    using out = tempDir()
    const path = join(out.path, 'f')
    const later = async (task: StoredTask): Promise<void> => {
      const edited = readFileSync(path)
      await heldRightly(task, content).catch(() => undefined) // the first read may find it out
      const held = await heldRightly(task, content)
      expect(held.length).toBeLessThanOrEqual(3)
      await write(task, content)
      expect(task.complete).toBe(true)
      expect(await heldRightly(task, content)).toEqual([0, 1, 2])
      expect(readFileSync(path).equals(edited)).toBe(true)
      expect(statSync(path).nlink).toBe(1)
      await task.export(join(out.path, 'again'))
      expect(readFileSync(join(out.path, 'again')).equals(content)).toBe(true)
    }
    {
      await using store = await openStore(dir.path)
      const task = await storedTask(store, content)
      expect((await task.export(path)).by).toBe('link')
      edit(path)
      await later(task)
      rmSync(path)
      rmSync(join(out.path, 'again'))
      await task.export(path)
    }
    edit(path)
    await using store = await openStore(dir.path)
    await later(await store.open(metaOf({ contentLength: content.length })))
  })
}

test('an edit within the same tick of the clock as the output is noticed', async () => {
  await using at = await tempStore()
  using out = tempDir()
  for (let number = 0; number < 20; number++) {
    const task = await storedTask(at.store, content.subarray(0, 5000), { taskId: taskIdOf(number) })
    const path = join(out.path, String(number))
    await task.export(path)
    // A whole second that has passed: no later write can leave the same time.
    expect(statSync(path, { bigint: true }).mtimeNs % 1_000_000_000n).toBe(0n)
    edits['a byte is written over']?.(path)
    await expect(task.read(0, Buffer.alloc(10))).rejects.toMatchObject({ code: 'piece.missing' })
  }
})

test('an edited output is neither exported again nor counted as held when the task is opened again', async () => {
  await using at = await storedOutput()
  const path = join(at.out, 'f')
  await at.task.export(path)
  writeFileSync(path, 'X', { flag: 'r+' })
  await expect(at.task.export(join(at.out, 'g'))).rejects.toMatchObject({ code: 'piece.missing' })
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  expect(task.pieces().map((piece) => piece.number)).toEqual([1, 2])
  expect(existsSync(join(at.out, 'g'))).toBe(false)
  expect(statSync(contentFile(at.dir)).mode & 0o777).toBe(0o600)
})

test('the output outlives its task', async () => {
  await using at = await storedOutput()
  await at.task.export(join(at.out, 'f'))
  await at.store.delete(at.task.meta.taskId)
  expect(existsSync(contentFile(at.dir))).toBe(false)
  expect(readFileSync(join(at.out, 'f')).equals(content)).toBe(true)
})

test('onto another file system it is copied; where that is full nothing is left and what was there stays', async ({
  skip,
}) => {
  await using at = await storedOutput()
  const mount = join(at.out, 'mount')
  using mounted = mountTmpfs(mount, '3m')
  if (mounted === undefined)
    return skip('needs the right to mount; disk-full.test.ts shows the same with a file size limit')
  const path = join(mount, 'f')
  expect(await at.task.export(path)).toEqual({ bytes: content.length, by: 'copy' })
  expect(readFileSync(path).equals(content)).toBe(true)
  const full = { code: 'storage.full', message: expect.stringContaining(path) }
  await expect(at.task.export(path)).rejects.toMatchObject(full) // old and new do not fit together
  expect(readFileSync(path).equals(content)).toBe(true)
  expect(readdirSync(mount)).toEqual(['f'])
  writeFileSync(path, 'short')
  writeFileSync(join(mount, 'filler'), Buffer.alloc(2_000_000))
  await expect(at.task.export(path, { atOffset: true, start: 0 })).rejects.toMatchObject(full)
  expect(statSync(path).size).toBe(5)
})
