import { mkdir, rename, rm, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { PluginLoader } from './index.ts'
import { bodyText, bundledHost, dirWith, pluginText, put } from './test-host.ts'

const { createPluginLoader } = await bundledHost()

const NAME = 'd7y-resource-plugin-d7yfs.mjs'
const COUNTING = 'globalThis.timesLoaded = (globalThis.timesLoaded ?? 0) + 1'

function loaderOf(dir: string, more: { options?: Record<string, unknown>; warnings?: string[] } = {}): PluginLoader {
  const { options = {}, warnings = [] } = more
  return createPluginLoader({
    dirs: [{ path: dir, given: true }],
    options,
    warn: (message) => void warnings.push(message),
  })
}

function timesLoaded(): number {
  const times: unknown = Reflect.get(globalThis, 'timesLoaded')
  Reflect.deleteProperty(globalThis, 'timesLoaded')
  return typeof times === 'number' ? times : 0
}

async function bodyOf(loader: PluginLoader, scheme = 'd7yfs'): Promise<string> {
  const plugin = await loader.load(scheme)
  if (plugin === undefined) return 'no plugin'
  const url = `${scheme}://host:56001/path/to/resource`
  return bodyText(plugin.client, { url, headers: {}, signal: AbortSignal.timeout(10_000) })
}

test('a plugin is loaded when its scheme is first asked for, and once for all who ask', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs', { before: COUNTING }) })
  const loader = loaderOf(dir)
  expect(timesLoaded()).toBe(0)
  const plugins = await Promise.all([loader.load('d7yfs'), loader.load('D7YFS'), loader.load('d7yfs')])
  expect(await loader.load('d7yfs')).toBe(plugins[0])
  expect(new Set(plugins).size).toBe(1)
  expect(timesLoaded()).toBe(1)
  const file = join(dir, NAME)
  expect(plugins[0]).toMatchObject({ name: `plugin d7yfs (${file})`, metadata: { name: 'd7yfs' }, file })
})

test('there is none for a scheme without a file, for what is no scheme, and for words that every object knows', async () => {
  const warnings: string[] = []
  const loader = loaderOf(await dirWith({ [NAME]: pluginText('d7yfs') }), { warnings })
  for (const scheme of ['other', 'constructor', '', '../d7yfs', 'd7yfs.mjs', '__proto__'])
    expect(await loader.load(scheme)).toBeUndefined()
  expect(warnings).toEqual([])
})

test('a plugin of the scheme "constructor" gets its own options, not what every object inherits', async () => {
  const client = '{ download: async () => ({ body: Buffer.from(JSON.stringify(options)) }) }'
  const dir = await dirWith({ 'd7y-resource-plugin-constructor.mjs': pluginText('constructor', { client }) })
  expect(await bodyOf(loaderOf(dir), 'constructor')).toBe('{}')
})

// G1 row 5: options given in the configuration arrive.
test('a plugin gets the options of its scheme, as a copy of its own', async () => {
  const client = '{ download: async () => ({ body: Buffer.from(options.keys.join()) }) }'
  const text = pluginText('d7yfs', { client, before: 'export const late = 1' }).replace(
    '({',
    '(options.keys.push("c"), {',
  )
  const options = { d7yfs: { keys: ['a', 'b'] }, other: { keys: [] } }
  expect(await bodyOf(loaderOf(await dirWith({ [NAME]: text }), { options }))).toBe('a,b,c')
  expect(options.d7yfs.keys).toEqual(['a', 'b'])
})

// G1 row 12: DownloadWithExpireInfo, a leftover in the page's sample.
test('further methods of a client, and further keys of its metadata, are no mistake', async () => {
  const client = "{ download: async () => ({ body: Buffer.from('x') }), downloadWithExpireInfo() {}, close: 1 }"
  const metadata = "{ type: 'resource', name: 'd7yfs', scheme: 'd7yfs', apiVersion: '1.x', homepage: { url: 'x' } }"
  const loader = loaderOf(await dirWith({ [NAME]: pluginText('d7yfs', { client, metadata }) }))
  expect((await loader.load('d7yfs'))?.metadata).toMatchObject({ homepage: { url: 'x' } })
  expect(await bodyOf(loader)).toBe('x')
})

test('a client may be an instance of a class, and init may answer later', async () => {
  const text = `class Client { #text = 'kept'; async download() { return { body: Buffer.from(this.#text) } } }
    export async function DragonflyPluginInit() {
      return { client: new Client(), metadata: { type: 'resource', name: 'd7yfs', scheme: 'D7YFS' } }
    }`
  expect(await bodyOf(loaderOf(await dirWith({ [NAME]: text })))).toBe('kept')
})

const SHAPES: [what: string, files: Record<string, string>][] = [
  ['.js with ESM and no package.json', { 'd7y-resource-plugin-d7yfs.js': pluginText('d7yfs') }],
  [
    '.js in a folder of ES modules',
    { 'package.json': '{"type":"module"}', 'd7y-resource-plugin-d7yfs.js': pluginText('d7yfs') },
  ],
  ['.js with CommonJS', { 'd7y-resource-plugin-d7yfs.js': commonJs('module.exports = { DragonflyPluginInit }') }],
  [
    '.js with a computed export',
    { 'd7y-resource-plugin-d7yfs.js': commonJs("module.exports['Dragonfly' + 'PluginInit'] = DragonflyPluginInit") },
  ],
  [
    '.js transpiled from ESM',
    {
      'd7y-resource-plugin-d7yfs.js': commonJs(
        'exports.__esModule = true; exports.DragonflyPluginInit = DragonflyPluginInit',
      ),
    },
  ],
  [
    'a default export that holds it',
    { [NAME]: `const DragonflyPluginInit = ${initText()}; export default { DragonflyPluginInit }` },
  ],
  [
    'a folder with main',
    {
      'd7y-resource-plugin-d7yfs/package.json': '{"type":"module","main":"lib/a.js"}',
      'd7y-resource-plugin-d7yfs/lib/a.js': pluginText('d7yfs'),
    },
  ],
  [
    'a folder with exports',
    {
      'd7y-resource-plugin-d7yfs/package.json':
        '{"exports":{".":{"browser":"./b.js","import":{"types":"./a.d.ts","default":"./a.mjs"}}},"main":"b.js"}',
      'd7y-resource-plugin-d7yfs/a.mjs': pluginText('d7yfs'),
    },
  ],
  [
    'a folder with an index',
    { 'd7y-resource-plugin-d7yfs/package.json': '{}', 'd7y-resource-plugin-d7yfs/index.js': pluginText('d7yfs') },
  ],
  [
    'a folder with its packages',
    {
      'd7y-resource-plugin-d7yfs/package.json': '{"type":"module","exports":"./a.js"}',
      'd7y-resource-plugin-d7yfs/a.js': `import 'its-own'\n${pluginText('d7yfs')}`,
      'd7y-resource-plugin-d7yfs/node_modules/its-own/index.js': '',
    },
  ],
]

test.each(SHAPES)('a plugin can be %s', async (_, files) => {
  expect(await bodyOf(loaderOf(await dirWith(files)))).toBe('hello world')
})

function initText(): string {
  return "() => ({ client: { download: async () => ({ body: Buffer.from('hello world') }) }, metadata: { type: 'resource', name: 'd7yfs', scheme: 'd7yfs' } })"
}

function commonJs(exporting: string): string {
  return `const path = require('node:path')\nconst DragonflyPluginInit = ${initText()}\n${exporting}\n`
}

test('a file that appears later is found', async () => {
  const dir = await dirWith()
  const loader = loaderOf(join(dir, 'plugins'))
  expect(await loader.load('d7yfs')).toBeUndefined()
  await put(join(dir, 'plugins', NAME), pluginText('d7yfs'))
  expect(await bodyOf(loader)).toBe('hello world')
})

test.each([
  ['.mjs', (text: string) => text],
  ['.js', (text: string) => text.replace('export const DragonflyPluginInit', 'exports.DragonflyPluginInit')],
])('a broken plugin (%s) is not run again before its file changes, and then works', async (suffix, written) => {
  const file = `d7y-resource-plugin-d7yfs${suffix}`
  const broken = `${COUNTING};\n${pluginText('d7yfs', { metadata: "{ type: 'resource', name: 'wrong', scheme: 'd7yfs' }" })}`
  const dir = await dirWith({ [file]: written(broken) })
  const loader = loaderOf(dir)
  const first = await loader.load('d7yfs').catch((error: unknown) => error)
  await expect(loader.load('d7yfs')).rejects.toBe(first)
  await expect(loader.load('d7yfs')).rejects.toThrow('plugin name not match')
  expect(timesLoaded()).toBe(1)

  await put(join(dir, 'new'), written(pluginText('d7yfs')))
  await rename(join(dir, 'new'), join(dir, file))
  expect(await bodyOf(loader)).toBe('hello world')
})

test('a file of the same size and date in the place of a broken one is still noticed', async () => {
  const good = pluginText('d7yfs')
  const dir = await dirWith({ [NAME]: good.replace("name: 'd7yfs'", "name: 'd7yfz'"), new: good })
  const date = new Date('2026-01-01')
  for (const file of [NAME, 'new']) await utimes(join(dir, file), date, date)
  const loader = loaderOf(dir)
  await expect(loader.load('d7yfs')).rejects.toThrow('plugin name not match')
  await rename(join(dir, 'new'), join(dir, NAME))
  expect(await bodyOf(loader)).toBe('hello world')
})

test('when a broken plugin is taken away, the next directory serves its scheme', async () => {
  const [first, second] = [await dirWith({ [NAME]: 'broken' }), await dirWith({ [NAME]: pluginText('d7yfs') })]
  const dirs = [first, second].map((path) => ({ path, given: true }))
  const loader = createPluginLoader({ dirs, options: {}, warn: () => undefined })
  await expect(loader.load('d7yfs')).rejects.toThrow(join(first, NAME))
  await rm(join(first, NAME))
  expect(await bodyOf(loader)).toBe('hello world')
})

test('one broken plugin leaves the others alone', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs'), 'd7y-resource-plugin-bad.mjs': 'throw new Error("x")' })
  const loader = loaderOf(dir)
  const [bad, good] = await Promise.allSettled([loader.load('bad'), loader.load('d7yfs')])
  expect([bad.status, good.status]).toEqual(['rejected', 'fulfilled'])
})

test('a loaded plugin goes on when its file is replaced or removed', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs') })
  const loader = loaderOf(dir)
  const before = await loader.load('d7yfs')
  await put(join(dir, NAME), 'broken')
  expect(await loader.load('d7yfs')).toBe(before)
  await rm(join(dir, NAME))
  expect(await loader.load('d7yfs')).toBe(before)
})

test('an operator is told once of a directory that cannot be used and of links that lead elsewhere', async () => {
  const real = await dirWith({ 'real.mjs': pluginText('d7yfs') })
  const dir = await dirWith({ file: '', 'plugins/inner.mjs': pluginText('inner') })
  await mkdir(join(dir, 'plugins'), { recursive: true })
  await symlink(join(real, 'real.mjs'), join(dir, 'plugins', NAME))
  await symlink('inner.mjs', join(dir, 'plugins', 'd7y-resource-plugin-inner.mjs'))
  const warnings: string[] = []
  const dirs = [join(dir, 'missing'), join(dir, 'file'), join(dir, 'plugins')].map((path) => ({ path, given: true }))
  const loader = createPluginLoader({ dirs, options: {}, warn: (message) => void warnings.push(message) })
  for (const scheme of ['d7yfs', 'inner', 'd7yfs', 'none', 'none']) await loader.load(scheme)
  expect(warnings).toEqual([
    `plugin directory ${join(dir, 'missing')} does not exist`,
    expect.stringMatching(/^plugin directory .*file cannot be read: ENOTDIR/),
    expect.stringMatching(/^plugin .*plugins\/d7y-resource-plugin-d7yfs.mjs is a link to .*real.mjs, outside/),
  ])
})
