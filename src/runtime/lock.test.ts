import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { lockFile } from './lock.ts'

const dir = mkdtempSync(join(tmpdir(), 'lock-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const HOLDER = `
const file = require('node:fs').openSync(process.argv[1], 'a+')
if (!require('fs-native-extensions').tryLock(file)) process.exit(1)
console.log('held')
setInterval(() => {}, 1000)`

test('only one has a lock at a time; the next gets it when it is given back', async () => {
  const path = join(dir, 'one')
  const first = await lockFile(path, { waitMs: 0 })
  expect(first).toBeDefined()
  expect(await lockFile(path, { waitMs: 50 })).toBeUndefined()
  const waiting = lockFile(path, { waitMs: 10_000 })
  first?.[Symbol.dispose]()
  using second = await waiting
  expect(second?.path).toBe(path)
})

test('a lock is free again when the process that held it is killed', async () => {
  const path = join(dir, 'killed')
  const holder = spawn(process.execPath, ['-e', HOLDER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  expect(await lockFile(path, { waitMs: 0 })).toBeUndefined()
  holder.kill('SIGKILL')
  using lock = await lockFile(path, { waitMs: 10_000 })
  expect(lock).toBeDefined()
})

test('waiting for a lock ends with the signal', async () => {
  const path = join(dir, 'aborted')
  using _held = await lockFile(path, { waitMs: 0 })
  const controller = new AbortController()
  const waiting = lockFile(path, { waitMs: 60_000, signal: controller.signal })
  controller.abort()
  await expect(waiting).rejects.toMatchObject({ name: 'AbortError' })
})
