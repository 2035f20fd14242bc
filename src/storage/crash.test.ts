import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'esbuild'
import { beforeAll, expect, test } from 'vitest'
import { contentOf, heldRightly, metaOf, openStore, PIECE, tempDir, write } from './testing.ts'

const CHILD = resolve('node_modules/.cache/dragonfly-test/storage-child.mjs')
const content = contentOf(5 * PIECE + 777)

beforeAll(() =>
  build({
    entryPoints: [join(import.meta.dirname, 'test-child.ts')],
    outfile: CHILD,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['@napi-rs/blake-hash', '@node-rs/crc32', 'fs-native-extensions'],
    logLevel: 'error',
  }),
)

function start(command: string, dir: string, before: string[] = []): ChildProcess {
  const argv = [...before, process.execPath, CHILD, command, dir, String(content.length)]
  return spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function saysReady(child: ChildProcess): Promise<void> {
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
  expect(line.toString()).toBe('ready\n')
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test('killed at any moment, whatever is listed afterwards is on disk with the right bytes', {
  timeout: 120_000,
}, async () => {
  using dir = tempDir()
  let found = 0
  for (let round = 0; round < 25; round++) {
    const child = start('churn', dir.path)
    await saysReady(child)
    await sleep(Math.random() * 150)
    await kill(child)
    const warnings: string[] = []
    await using store = await openStore(dir.path, { warn: (message) => warnings.push(message) })
    for (const task of store.list()) found += (await heldRightly(await store.open(task.meta), content)).length
    expect(warnings.every((warning) => /newer version|journal cannot be read/.test(warning))).toBe(true)
    for (const name of ['output-0', 'output-1', 'output-2'].map((name) => join(dir.path, name))) {
      if (existsSync(name)) expect(readFileSync(name).equals(content)).toBe(true)
    }
  }
  expect(found).toBeGreaterThan(25) // else the test has shown nothing
})

test('a second process is refused while the first lives, and gets in as soon as it was killed', async () => {
  using dir = tempDir()
  const child = start('hold', dir.path)
  try {
    await saysReady(child)
    await expect(openStore(dir.path)).rejects.toMatchObject({
      code: 'storage.in_use',
      message: `the storage directory ${dir.path} is in use by process ${child.pid}`,
    })
  } finally {
    await kill(child)
  }
  await using store = await openStore(dir.path)
  const task = await store.open(metaOf({ contentLength: content.length }))
  expect(await heldRightly(task, content)).toEqual([0])
  await write(task, content)
  expect(task.complete).toBe(true)
})

test('at a limit of file sizes the task is storage.full, and what is held is right, also afterwards', async () => {
  using dir = tempDir()
  const limit = 2 * PIECE + 100
  const child = start('store', dir.path, ['prlimit', `--fsize=${limit}`])
  const gone = once(child, 'exit')
  const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
  await gone
  const said = JSON.parse(line.toString()) as { code: string; message: string; held: number[] }
  expect(said.code).toBe('storage.full')
  expect(said.message).toMatch(/cannot write .*content: the file size limit is reached \(.* of .* free\)/)
  expect(said.held).toEqual([0, 1])
  await using store = await openStore(dir.path)
  const task = await store.open(metaOf({ contentLength: content.length }))
  expect(await heldRightly(task, content)).toEqual([0, 1])
})
