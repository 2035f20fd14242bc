import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readInstalled, RECORD_FILE, writeInstalled } from './installed.ts'
import { dirWith } from './test-host.ts'

const ENTRY = { from: 'npm store@1.0.0', sha256: 'ab'.repeat(32), at: '2026-01-02T03:04:05.678Z' }

test('what is written is read again, and nothing else is left in the directory', async () => {
  const dir = await dirWith()
  const plugins = new Map([
    ['d7y-resource-plugin-b.mjs', ENTRY],
    ['d7y-resource-plugin-a.mjs', { ...ENTRY, from: '/x' }],
  ])
  await writeInstalled(dir, plugins)
  expect(await readInstalled(dir)).toEqual(plugins)
  expect(await readdir(dir)).toEqual([RECORD_FILE])
})

test('nothing is known of a directory without a record, or that is not there', async () => {
  const dir = await dirWith()
  expect((await readInstalled(dir)).size).toBe(0)
  expect((await readInstalled(join(dir, 'none'))).size).toBe(0)
  await mkdir(join(dir, RECORD_FILE))
  expect((await readInstalled(dir)).size).toBe(0)
})

test('entries that are none are passed over, and the others count', async () => {
  const plugins = {
    good: { ...ENTRY, more: 1 },
    text: 'x',
    nothing: null,
    hash: { ...ENTRY, sha256: 'short' },
    time: { ...ENTRY, at: '\u001b[2J' },
    from: { ...ENTRY, from: 7 },
    long: { ...ENTRY, from: 'x'.repeat(10_000) },
  }
  const dir = await dirWith({ [RECORD_FILE]: JSON.stringify({ plugins }) })
  expect([...(await readInstalled(dir))]).toEqual([['good', ENTRY]])
})

test('whatever stands in a record, reading it never fails', async () => {
  const dir = await dirWith()
  const record = fc.oneof(
    fc.string(),
    fc.json(),
    fc.json().map((plugins) => `{"plugins":${plugins}}`),
  )
  await fc.assert(
    fc.asyncProperty(record, async (text) => {
      await writeFile(join(dir, RECORD_FILE), text)
      expect((await readInstalled(dir)).size).toBe(0)
    }),
  )
})
