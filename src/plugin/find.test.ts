import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { findPlugins, isScheme, parsePluginName, pluginDirs, SYSTEM_PLUGIN_DIR } from './find.ts'
import { dirWith } from './test-host.ts'

const FILE_NAMES: [entry: string, type: string | undefined, name?: string][] = [
  ['d7y-resource-plugin-d7yfs.mjs', 'resource', 'd7yfs'],
  ['d7y-resource-plugin-d7yfs.js', 'resource', 'd7yfs'],
  ['d7y-resource-plugin-git+ssh.mjs', 'resource', 'git+ssh'],
  ['d7y-resource-plugin-a-b.c.mjs', 'resource', 'a-b.c'],
  ['d7y-resource-plugin-S3.mjs', 'resource', 's3'],
  ['d7y-scheduler-plugin-evaluator.mjs', 'scheduler', 'evaluator'],
  ['d7y-manager-plugin-searcher.mjs', 'manager', 'searcher'],
  ['d7y-scheduler-plugin-other.mjs', undefined],
  ['d7y-manager-plugin-search.mjs', undefined],
  ['foo-d7y-resource-plugin-x.mjs', undefined],
  ['d7y-resource-plugin-x.mjs.bak', undefined],
  ['d7y-resource-plugin-x.so', undefined],
  ['d7y-resource-plugin-x', undefined],
  ['d7y-resource-plugin-.mjs', undefined],
  ['d7y-resource-plugin-3x.mjs', undefined],
  ['d7y-resource-plugin-a_b.mjs', undefined],
  ['d7y-resource-plugin-x.mjs\n', undefined],
  ['D7Y-RESOURCE-PLUGIN-x.mjs', undefined],
  ['d7y-storage-plugin-x.mjs', undefined],
]

test.each(FILE_NAMES)('the file name %j is of type %s', (entry, type, name) => {
  expect(parsePluginName(entry, false)).toEqual(type === undefined ? undefined : { type, name })
})

test('a folder has the name without a suffix', () => {
  expect(parsePluginName('d7y-resource-plugin-d7yfs', true)).toEqual({ type: 'resource', name: 'd7yfs' })
  expect(parsePluginName('d7y-resource-plugin-d7yfs.mjs', true)).toBeUndefined()
})

test('every scheme that a URL can have makes a file name that is found again', () => {
  const scheme = fc.stringMatching(/^[a-z][a-z0-9+.-]{0,30}$/)
  fc.assert(
    fc.property(scheme, fc.constantFrom('.mjs', '.js'), (name, suffix) => {
      expect(isScheme(name)).toBe(true)
      expect(parsePluginName(`d7y-resource-plugin-${name}${suffix}`, false)).toEqual({ type: 'resource', name })
    }),
  )
})

test('no file name makes the search fail, and each is either a plugin or told of', async () => {
  const piece = fc.constantFrom(
    'd7y-',
    'resource',
    '-plugin-',
    'x',
    '.mjs',
    '.js',
    '\n',
    '\u001b[2J',
    '%',
    ' ',
    '..',
    'é',
  )
  const mixed = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join(''))
  const name = fc
    .oneof(mixed, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }))
    .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..' && Buffer.byteLength(text) < 255)
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { maxLength: 5 }), fc.boolean(), async (names, folder) => {
      const dir = await dirWith()
      const made = new Set<string>()
      for (const entry of names) {
        if (folder) await mkdir(join(dir, entry)).catch(() => undefined)
        else await writeFile(join(dir, entry), '').catch(() => undefined)
        made.add(Buffer.from(entry).toString())
      }
      const [searched] = await findPlugins([{ path: dir, given: true }])
      const seen = [...(searched?.plugins ?? []).map((p) => p.location), ...(searched?.others ?? []).map((o) => o.name)]
      expect(searched?.problem).toBeUndefined()
      expect(new Set(seen)).toEqual(made)
    }),
    { numRuns: 50 },
  )
})

// G1 row 1: the fixed directory, with no setting.
test('the directories of the page and of the working home are searched unasked, those of the user before them', () => {
  expect(SYSTEM_PLUGIN_DIR).toBe('/usr/local/dragonfly/plugins')
  expect(pluginDirs({ workhome: '/home/u/.dragonfly' })).toEqual([
    { path: '/home/u/.dragonfly/plugins', given: false },
    { path: '/usr/local/dragonfly/plugins', given: false },
  ])
  expect(pluginDirs({ given: ['/b', '/a', '/b/'], workhome: '/usr/local/dragonfly' })).toEqual([
    { path: '/b', given: true },
    { path: '/a', given: true },
    { path: '/usr/local/dragonfly/plugins', given: false },
  ])
})

test('of several plugins for one scheme the first is used, and the others know by which they are shadowed', async () => {
  const first = await dirWith({ 'd7y-resource-plugin-x.js': '', 'd7y-resource-plugin-x.mjs': '' })
  const second = await dirWith({ 'd7y-resource-plugin-X.mjs': '', 'd7y-resource-plugin-y.mjs': '' })
  const searched = await findPlugins([first, second].map((path) => ({ path, given: true })))
  const used = join(first, 'd7y-resource-plugin-x.mjs')
  expect(searched.flatMap(({ plugins }) => plugins.map((plugin) => [plugin.path, plugin.shadowedBy]))).toEqual([
    [used, undefined],
    [join(first, 'd7y-resource-plugin-x.js'), used],
    [join(second, 'd7y-resource-plugin-X.mjs'), used],
    [join(second, 'd7y-resource-plugin-y.mjs'), undefined],
  ])
})

test('a directory that is missing, no directory, or too full is a problem of its own and hides no other', async () => {
  const dir = await dirWith({ 'd7y-resource-plugin-x.mjs': '', file: '' })
  const crowd = await dirWith(Object.fromEntries(Array.from({ length: 4097 }, (_, at) => [`${at}`, ''])))
  const paths = [join(dir, 'missing'), join(dir, 'file'), crowd, dir]
  const searched = await findPlugins(paths.map((path) => ({ path, given: false })))
  expect(searched.map(({ problem }) => problem)).toEqual([
    'missing',
    { reason: expect.stringContaining('not a directory') },
    { reason: expect.stringContaining('more than 4096 entries') },
    undefined,
  ])
  expect(searched[3]?.plugins.map(({ name }) => name)).toEqual(['x'])
})

test('a link to a folder is a folder, and a link to nowhere is still found', async () => {
  const dir = await dirWith({ 'real/package.json': '{}' })
  await symlink(join(dir, 'real'), join(dir, 'd7y-resource-plugin-a'))
  await symlink(join(dir, 'gone'), join(dir, 'd7y-resource-plugin-b.mjs'))
  const [searched] = await findPlugins([{ path: dir, given: true }])
  expect(searched?.plugins.map(({ name, folder }) => [name, folder])).toEqual([
    ['a', true],
    ['b', false],
  ])
})
