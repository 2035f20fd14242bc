import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type TempDir, tempDir } from '#devnet'
import { type PluginDir, readInstalled, writeInstalled } from '#plugin'
import { removePlugin } from './remove-plugin.ts'

let dir: TempDir
beforeEach(async () => {
  dir = await tempDir('remove')
})
afterEach(() => dir[Symbol.asyncDispose]())

async function put(...paths: string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(dir.join(path)), { recursive: true })
    await writeFile(dir.join(path), '')
  }
}

const dirs = (...names: string[]): PluginDir[] => names.map((name) => ({ path: dir.join(name), given: true }))
const X = 'd7y-resource-plugin-x.mjs'
const ENTRY = { from: 'npm x@1.0.0', sha256: 'ab'.repeat(32), at: '2026-01-02T03:04:05.678Z' }

test('the plugin that is used goes, with its record, and the next one is told', async () => {
  await put(`a/${X}`, 'a/d7y-resource-plugin-y.mjs', `b/${X}`)
  await writeInstalled(
    dir.join('a'),
    new Map([
      [X, ENTRY],
      ['d7y-resource-plugin-y.mjs', ENTRY],
    ]),
  )
  const report = await removePlugin('X', dirs('a', 'b'))
  expect(report).toMatchObject({
    plugin: { path: dir.join('a', X) },
    dir: dir.join('a'),
    installed: ENTRY,
    next: { path: dir.join('b', X) },
  })
  expect((await readdir(dir.join('a'))).filter((name) => name.startsWith('d7y'))).toEqual(['d7y-resource-plugin-y.mjs'])
  expect([...(await readInstalled(dir.join('a'))).keys()]).toEqual(['d7y-resource-plugin-y.mjs'])
  expect(await readdir(dir.join('b'))).toEqual([X])
})

test('a folder goes as a whole', async () => {
  await put('a/d7y-resource-plugin-x/package.json', 'a/d7y-resource-plugin-x/lib/index.js')
  const { plugin, next } = await removePlugin('x', dirs('a'))
  expect(plugin.folder).toBe(true)
  expect(next).toBeUndefined()
  expect(await readdir(dir.join('a'))).toEqual(['.install.lock'])
})

test('a link goes, and what it leads to stays', async () => {
  await put('work/real.mjs', 'a/z')
  await symlink(dir.join('work/real.mjs'), dir.join('a', X))
  await removePlugin('x', dirs('a'))
  expect(await readFile(dir.join('work/real.mjs'), 'utf8')).toBe('')
  expect(await readdir(dir.join('a'))).not.toContain(X)
})

test('an evaluator goes by its name, unless there is a scheme of that name', async () => {
  await put('a/d7y-scheduler-plugin-evaluator.mjs', 'b/d7y-resource-plugin-evaluator.mjs')
  const both = dirs('a', 'b')
  expect((await removePlugin('evaluator', both)).plugin.type).toBe('resource')
  expect((await removePlugin('evaluator', both)).plugin.type).toBe('scheduler')
})

test('what is not there, what is built in, and what may not be changed is told', async () => {
  await put(`a/${X}`)
  await expect(removePlugin('y', dirs('a', 'b'))).rejects.toMatchObject({
    code: 'usage.invalid',
    message: `there is no plugin for y in ${dir.join('a')}, ${dir.join('b')}`,
  })
  await expect(removePlugin('http', dirs('a'))).rejects.toThrow('http is built in and cannot be removed')
})
