import { execFileSync } from 'node:child_process'
import { chmod, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type TempDir, tempDir } from '#devnet'
import { copyFolder } from './copy-folder.ts'

let dir: TempDir
beforeEach(async () => {
  dir = await tempDir('copy')
  await mkdir(dir.join('from/below'), { recursive: true })
  await writeFile(dir.join('from/below/a'), 'hello')
})
afterEach(() => dir[Symbol.asyncDispose]())

const copy = (mostBytes = 1000): Promise<void> => copyFolder(dir.join('from'), dir.join('to'), mostBytes)

test('files are copied as they are, with modes that let nobody else write', async () => {
  await chmod(dir.join('from/below'), 0o777)
  await chmod(dir.join('from/below/a'), 0o666)
  await symlink('below/a', dir.join('from/link'))
  await copy()
  expect(await readFile(dir.join('to/below/a'), 'utf8')).toBe('hello')
  expect(await readlink(dir.join('to/link'))).toBe('below/a')
  expect((await stat(dir.join('to/below'))).mode & 0o777).toBe(0o755)
  expect((await stat(dir.join('to/below/a'))).mode & 0o777).toBe(0o644)
})

test.each(['/etc/passwd', '../outside', 'below/../../outside'])('a link to %s is refused', async (target) => {
  await symlink(target, dir.join('from/link'))
  await expect(copy()).rejects.toMatchObject({ code: 'plugin.broken', message: expect.stringContaining('link link') })
})

test('a pipe is refused and never waited for', async () => {
  execFileSync('mkfifo', [dir.join('from/pipe')])
  await expect(copy()).rejects.toThrow('holds pipe, which is neither a file nor a folder')
})

test('more bytes than a plugin may have are refused', async () => {
  await writeFile(dir.join('from/b'), 'x'.repeat(996))
  await expect(copy()).rejects.toThrow('is larger than')
  await writeFile(dir.join('from/b'), 'x'.repeat(995))
  await copyFolder(dir.join('from'), dir.join('to2'), 1000)
})
