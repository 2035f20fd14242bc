import { execFileSync } from 'node:child_process'
import { mkdir, realpath, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { BROKEN_PLUGINS } from './broken-plugins.ts'
import { createPluginHost, listPlugins, renderListing } from './index.ts'
import { describe, oneLine, printableJson, thrownMessage } from './one-line.ts'
import { dirWith, pluginText, policyOf } from './test-host.ts'

/** What use and listing say of the plugin of the scheme `bad` in a directory. */
async function bothSay(dir: string, options = {}): Promise<{ used: unknown; listed: readonly string[] }> {
  const dirs = [{ path: dir, given: true }]
  const how = { dirs, options, policy: policyOf({ startTimeout: 1000 }), warn: () => undefined }
  await using host = createPluginHost(how)
  const used = await host.load('bad').catch((error: unknown) => error)
  const listing = renderListing(await listPlugins(how))
  expect(listing.stdout.filter((line) => !line.includes('location: in-tree'))).toEqual([])
  expect(listing.exitCode).toBe(1)
  return { used, listed: listing.stderr.slice(1) }
}

// G1 rows 5 and 13: each mistake has its own message; metadata of another type, name or scheme is refused by name.
test.each(BROKEN_PLUGINS)(
  'a plugin that is wrong (%s) is refused with the same one line in use and in the listing',
  async (_, text, reason) => {
    const dir = await dirWith({ 'd7y-resource-plugin-bad.mjs': text })
    const file = join(dir, 'd7y-resource-plugin-bad.mjs')
    const expected = reason.replace('FILE', file)
    const { used, listed } = await bothSay(dir)
    expect(used).toMatchObject({ code: 'plugin.broken', message: `plugin ${file}: ${expected}` })
    expect(listed).toEqual([`not valid plugin binary format d7y-resource-plugin-bad.mjs: "${expected}"`])
  },
)

test('each mistake has a message of its own', () => {
  const reasons = BROKEN_PLUGINS.filter(([what]) => what !== 'init rejects').map(([, , reason]) => reason)
  expect(new Set(reasons).size).toBe(reasons.length)
})

const FOLDERS: [what: string, files: Record<string, string>, reason: string][] = [
  ['no manifest', { 'index.js': '' }, "it cannot be read: ENOENT: no such file or directory, stat 'DIR/package.json'"],
  ['a manifest that is no JSON', { 'package.json': '{' }, 'package.json is not JSON: '],
  ['a manifest that is a list', { 'package.json': '[]' }, 'package.json holds an array, expected an object'],
  ['a main that is not there', { 'package.json': '{"main":"a.js"}' }, 'package.json names "a.js", which is not there'],
  [
    'a main outside',
    { 'package.json': '{"main":"../x.mjs"}' },
    'package.json names "../x.mjs", which lies outside the folder',
  ],
  [
    'exports without itself',
    { 'package.json': '{"exports":{"./sub":"./a.js"},"main":"a.js"}', 'a.js': '' },
    'package.json: exports names no file for an import of the package itself',
  ],
]

test.each(FOLDERS)('a folder with %s is refused', async (_, files, reason) => {
  const entries = Object.entries(files).map(([name, text]) => [`d7y-resource-plugin-bad/${name}`, text])
  const dir = await dirWith({ ...Object.fromEntries(entries), 'x.mjs': pluginText('bad') })
  const { used } = await bothSay(dir)
  const expected = reason.replace('DIR', join(await realpath(dir), 'd7y-resource-plugin-bad'))
  expect(used).toMatchObject({ code: 'plugin.broken', message: expect.stringContaining(expected) })
})

test('what is no regular file, or far too large, is refused unread', async () => {
  const dir = await dirWith()
  const file = join(dir, 'd7y-resource-plugin-bad.mjs')
  execFileSync('mkfifo', [file])
  expect((await bothSay(dir)).used).toMatchObject({ message: `plugin ${file}: it is not a regular file` })

  const large = await dirWith({ 'd7y-resource-plugin-bad.mjs': '' })
  await truncate(join(large, 'd7y-resource-plugin-bad.mjs'), 2 ** 30)
  expect((await bothSay(large)).used).toMatchObject({ message: expect.stringContaining('it is 1.00 GiB large') })

  const folder = await dirWith()
  await mkdir(join(folder, 'd7y-resource-plugin-bad/package.json'), { recursive: true })
  expect((await bothSay(folder)).used).toMatchObject({ message: expect.stringContaining('it is not a regular file') })
})

test('options that are no mapping are refused', async () => {
  const dir = await dirWith({ 'd7y-resource-plugin-bad.mjs': pluginText('bad') })
  const { used } = await bothSay(dir, { bad: 'key' })
  expect(used).toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining('plugins.bad: is not a mapping of options'),
  })
})

test('whatever is thrown or said becomes one bounded line without control characters', () => {
  const line = /^[^\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]{0,3100}$/u
  fc.assert(
    fc.property(fc.anything(), fc.string({ unit: 'binary', maxLength: 4000 }), (value, text) => {
      for (const said of [
        thrownMessage(value),
        thrownMessage(new Error(text)),
        oneLine(text),
        describe(value),
        describe(text),
      ])
        expect(said).toMatch(line)
      expect(JSON.parse(printableJson({ text }))).toEqual({ text })
    }),
  )
  expect(printableJson('\u009b2J\u202e')).toBe('"\\u009b2J\\u202e"')
})
