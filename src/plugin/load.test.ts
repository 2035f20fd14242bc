import { mkdir, readdir, rename, rm, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createPluginHost, type PluginHost, type PluginPolicy } from './index.ts'
import { sha256Of } from './policy/pins.ts'
import { bodyText, dirWith, pluginText, policyOf, put } from './test-host.ts'

const NAME = 'd7y-resource-plugin-d7yfs.mjs'
/** A plugin tells that it is loaded by what it prints: it is another process. */
const COUNTING = "console.log('loaded')"

interface Watched {
  readonly options?: Record<string, unknown>
  readonly policy?: Partial<PluginPolicy>
  readonly warnings?: string[]
  readonly printed?: string[]
}

function hostOf(dirs: string | readonly string[], more: Watched = {}): PluginHost {
  const { options = {}, policy = {}, warnings = [], printed = [] } = more
  const host = createPluginHost({
    dirs: [dirs].flat().map((path) => ({ path, given: true })),
    options,
    policy: policyOf(policy),
    warn: (message) => void warnings.push(message),
    print: (_scheme, line) => void printed.push(line),
  })
  onTestFinished(() => host[Symbol.asyncDispose]())
  return host
}

async function bodyOf(host: PluginHost, scheme = 'd7yfs'): Promise<string> {
  const plugin = await host.load(scheme)
  if (plugin === undefined) return 'no plugin'
  const url = `${scheme}://host:56001/path/to/resource`
  return bodyText(plugin.client, { url, headers: {}, signal: AbortSignal.timeout(10_000) })
}

test('a plugin is loaded when its scheme is first asked for, and once for all who ask', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs', { before: COUNTING }) })
  const printed: string[] = []
  const host = hostOf(dir, { printed })
  expect(printed).toEqual([])
  const plugins = await Promise.all([host.load('d7yfs'), host.load('D7YFS'), host.load('d7yfs')])
  expect(await host.load('d7yfs')).toBe(plugins[0])
  expect(new Set(plugins).size).toBe(1)
  await expect.poll(() => printed).toEqual(['loaded'])
  const file = join(dir, NAME)
  expect(plugins[0]).toMatchObject({ name: `plugin d7yfs (${file})`, metadata: { name: 'd7yfs' }, file })
})

test('there is none for a scheme without a file, for what is no scheme, and for words that every object knows', async () => {
  const warnings: string[] = []
  const host = hostOf(await dirWith({ [NAME]: pluginText('d7yfs') }), { warnings })
  for (const scheme of ['other', 'constructor', '', '../d7yfs', 'd7yfs.mjs', '__proto__'])
    expect(await host.load(scheme)).toBeUndefined()
  expect(warnings).toEqual([])
})

test('a plugin of the scheme "constructor" gets its own options, not what every object inherits', async () => {
  const client = '{ download: async () => ({ body: Buffer.from(JSON.stringify(options)) }) }'
  const dir = await dirWith({ 'd7y-resource-plugin-constructor.mjs': pluginText('constructor', { client }) })
  expect(await bodyOf(hostOf(dir), 'constructor')).toBe('{}')
})

// G1 row 5: options given in the configuration arrive.
test('a plugin gets the options of its scheme, as a copy of its own', async () => {
  const client = '{ download: async () => ({ body: Buffer.from(options.keys.join()) }) }'
  const text = pluginText('d7yfs', { client, before: 'export const late = 1' }).replace(
    '({',
    '(options.keys.push("c"), {',
  )
  const options = { d7yfs: { keys: ['a', 'b'] }, other: { keys: [] } }
  expect(await bodyOf(hostOf(await dirWith({ [NAME]: text }), { options }))).toBe('a,b,c')
  expect(options.d7yfs.keys).toEqual(['a', 'b'])
})

// G1 row 12: DownloadWithExpireInfo, a leftover in the page's sample.
test('further methods of a client, and further keys of its metadata, are no mistake', async () => {
  const client = "{ download: async () => ({ body: Buffer.from('x') }), downloadWithExpireInfo() {}, close: 1 }"
  const metadata = "{ type: 'resource', name: 'd7yfs', scheme: 'd7yfs', apiVersion: '1.x', homepage: { url: 'x' } }"
  const host = hostOf(await dirWith({ [NAME]: pluginText('d7yfs', { client, metadata }) }))
  expect((await host.load('d7yfs'))?.metadata).toMatchObject({ homepage: { url: 'x' } })
  expect(await bodyOf(host)).toBe('x')
})

test('a client may be an instance of a class, and init may answer later', async () => {
  const text = `class Client { #text = 'kept'; async download() { return { body: Buffer.from(this.#text) } } }
    export async function DragonflyPluginInit() {
      return { client: new Client(), metadata: { type: 'resource', name: 'd7yfs', scheme: 'D7YFS' } }
    }`
  expect(await bodyOf(hostOf(await dirWith({ [NAME]: text })))).toBe('kept')
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
  expect(await bodyOf(hostOf(await dirWith(files)))).toBe('hello world')
})

function initText(): string {
  return "() => ({ client: { download: async () => ({ body: Buffer.from('hello world') }) }, metadata: { type: 'resource', name: 'd7yfs', scheme: 'd7yfs' } })"
}

function commonJs(exporting: string): string {
  return `const path = require('node:path')\nconst DragonflyPluginInit = ${initText()}\n${exporting}\n`
}

test('a file that appears later is found', async () => {
  const dir = await dirWith()
  const host = hostOf(join(dir, 'plugins'))
  expect(await host.load('d7yfs')).toBeUndefined()
  await put(join(dir, 'plugins', NAME), pluginText('d7yfs'))
  expect(await bodyOf(host)).toBe('hello world')
})

test.each([
  ['.mjs', (text: string) => text],
  ['.js', (text: string) => text.replace('export const DragonflyPluginInit', 'exports.DragonflyPluginInit')],
])('a broken plugin (%s) is not run again before its file changes, and then works', async (suffix, written) => {
  const file = `d7y-resource-plugin-d7yfs${suffix}`
  const broken = `${COUNTING};\n${pluginText('d7yfs', { metadata: "{ type: 'resource', name: 'wrong', scheme: 'd7yfs' }" })}`
  const dir = await dirWith({ [file]: written(broken) })
  const printed: string[] = []
  const host = hostOf(dir, { printed })
  const first = await host.load('d7yfs').catch((error: unknown) => error)
  await expect(host.load('d7yfs')).rejects.toBe(first)
  await expect(host.load('d7yfs')).rejects.toThrow('plugin name not match')
  await expect.poll(() => printed).toEqual(['loaded'])

  await put(join(dir, 'new'), written(pluginText('d7yfs')))
  await rename(join(dir, 'new'), join(dir, file))
  expect(await bodyOf(host)).toBe('hello world')
})

test('a file of the same size and date in the place of a broken one is still noticed', async () => {
  const good = pluginText('d7yfs')
  const dir = await dirWith({ [NAME]: good.replace("name: 'd7yfs'", "name: 'd7yfz'"), new: good })
  const date = new Date('2026-01-01')
  for (const file of [NAME, 'new']) await utimes(join(dir, file), date, date)
  const host = hostOf(dir)
  await expect(host.load('d7yfs')).rejects.toThrow('plugin name not match')
  await rename(join(dir, 'new'), join(dir, NAME))
  expect(await bodyOf(host)).toBe('hello world')
})

test('when a broken plugin is taken away, the next directory serves its scheme', async () => {
  const [first, second] = [await dirWith({ [NAME]: 'broken' }), await dirWith({ [NAME]: pluginText('d7yfs') })]
  const host = hostOf([first, second])
  await expect(host.load('d7yfs')).rejects.toThrow(join(first, NAME))
  await rm(join(first, NAME))
  expect(await bodyOf(host)).toBe('hello world')
})

test('one broken plugin leaves the others alone', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs'), 'd7y-resource-plugin-bad.mjs': 'throw new Error("x")' })
  const host = hostOf(dir)
  const [bad, good] = await Promise.allSettled([host.load('bad'), host.load('d7yfs')])
  expect([bad.status, good.status]).toEqual(['rejected', 'fulfilled'])
})

test('a file that was replaced serves the next task, and who still has the old one is served too', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs') })
  const host = hostOf(dir)
  const before = await host.load('d7yfs')
  const client = "{ download: async () => ({ body: Buffer.from('hello again') }) }"
  await put(join(dir, 'new'), pluginText('d7yfs', { client }))
  await rename(join(dir, 'new'), join(dir, NAME))
  await expect.poll(() => bodyOf(host), { timeout: 5000 }).toBe('hello again')
  const request = { url: 'd7yfs://host/f', headers: {}, signal: AbortSignal.timeout(10_000) }
  expect(await bodyText(before!.client, request)).toBe('hello world')
  // Its process is let go of when nobody has asked it for a while; from then on the next one answers.
  await expect.poll(() => bodyText(before!.client, request), { interval: 300, timeout: 5000 }).toBe('hello again')
  expect(processesOf(host)).toBe(1)
})

test('a file that is replaced by a broken one leaves the old one serving, with one warning', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs') })
  const warnings: string[] = []
  const host = hostOf(dir, { warnings })
  await host.load('d7yfs')
  await put(join(dir, NAME), 'broken')
  await expect.poll(() => host.load('d7yfs').then(() => warnings), { timeout: 5000 }).toHaveLength(1)
  expect(warnings[0]).toMatch(/it cannot be loaded: .*; the one that was loaded before goes on/)
  expect(await bodyOf(host)).toBe('hello world')
  expect(warnings).toHaveLength(1)
})

test('a plugin whose file is taken away is unloaded', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs') })
  const host = hostOf(dir)
  await host.load('d7yfs')
  await rm(join(dir, NAME))
  await expect.poll(() => host.load('d7yfs'), { timeout: 5000 }).toBeUndefined()
  await expect.poll(() => processesOf(host), { timeout: 5000 }).toBe(0)
})

function processesOf(host: PluginHost): number {
  return host.samples().find(({ name }) => name === 'dragonfly_plugin_processes')?.value ?? 0
}

test('an operator is told once of a directory that cannot be used and of links that lead elsewhere', async () => {
  const real = await dirWith({ 'real.mjs': pluginText('d7yfs') })
  const dir = await dirWith({ file: '', 'plugins/inner.mjs': pluginText('inner') })
  await mkdir(join(dir, 'plugins'), { recursive: true })
  await symlink(join(real, 'real.mjs'), join(dir, 'plugins', NAME))
  await symlink('inner.mjs', join(dir, 'plugins', 'd7y-resource-plugin-inner.mjs'))
  const warnings: string[] = []
  const host = hostOf([join(dir, 'missing'), join(dir, 'file'), join(dir, 'plugins')], { warnings })
  for (const scheme of ['d7yfs', 'inner', 'd7yfs', 'none', 'none']) await host.load(scheme)
  expect(warnings).toEqual([
    `plugin directory ${join(dir, 'missing')} does not exist`,
    expect.stringMatching(/^plugin directory .*file cannot be read: ENOTDIR/),
    expect.stringMatching(/^plugin .*plugins\/d7y-resource-plugin-d7yfs.mjs is a link to .*real.mjs, outside/),
  ])
})

/** Where processes of plugins have their sockets, for this test alone. */
function tempDirIs(dir: string): void {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = dir
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
}

const request = (url = 'd7yfs://host/f') => ({ url, headers: {}, signal: AbortSignal.timeout(10_000) })

test('a host that was let go of starts nothing more', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs') })
  const host = hostOf(dir)
  const plugin = await host.load('d7yfs')
  await host[Symbol.asyncDispose]()
  await expect(host.load('d7yfs')).rejects.toMatchObject({ code: 'plugin.down' })
  await expect(bodyText(plugin!.client, request())).rejects.toMatchObject({ code: 'plugin.down' })
  expect(processesOf(host)).toBe(0)
})

test('nothing is left of a process, however it ended', async () => {
  const [sockets, dir] = [await dirWith(), await dirWith()]
  tempDirIs(sockets)
  const metadata = "{ type: 'resource', name: 'wrong', scheme: 'd7yfs' }"
  for (const text of [
    pluginText('d7yfs', { metadata }),
    'throw new Error("x")',
    'process.exit(7)',
    pluginText('d7yfs', { client: '{ download() { process.exit(8) } }' }),
    pluginText('d7yfs'),
  ]) {
    await put(join(dir, NAME), text)
    const host = hostOf(dir)
    await bodyOf(host).catch(() => undefined)
    await host[Symbol.asyncDispose]()
    expect(await readdir(sockets)).toEqual([])
    expect(processesOf(host)).toBe(0)
  }
})

test('a process that ended is started again from the file that was admitted, or not at all', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs', { client: CRASHING }) })
  const pins = { d7yfs: await sha256Of(join(dir, NAME)) }
  const plugin = await hostOf(dir, { policy: { pins } }).load('d7yfs')
  await put(join(dir, NAME), pluginText('d7yfs'))
  await expect(bodyText(plugin!.client, request('d7yfs://host/crash'))).rejects.toMatchObject({
    code: 'plugin.crashed',
  })
  await expect(bodyText(plugin!.client, request())).rejects.toMatchObject({ code: 'plugin.refused' })
})

const CRASHING = `{ async download({ url }) { if (url.endsWith('crash')) process.exit(3); return { body: Buffer.from('as before') } } }`

test('when a plugin crashes whose file was replaced since, its next call goes to the new one', async () => {
  const dir = await dirWith({ [NAME]: pluginText('d7yfs', { client: CRASHING }) })
  const host = hostOf(dir)
  const plugin = await host.load('d7yfs')
  expect(await bodyText(plugin!.client, request())).toBe('as before')
  await put(join(dir, NAME), pluginText('d7yfs'))
  await expect(bodyText(plugin!.client, request('d7yfs://host/crash'))).rejects.toMatchObject({
    code: 'plugin.crashed',
  })
  await expect.poll(() => bodyText(plugin!.client, request()).catch(() => '')).toBe('hello world')
  expect(processesOf(host)).toBe(1)
})

test('who lists with a plugin that was replaced by one that cannot is told so, and not that there is nothing', async () => {
  const client = "{ async download() { process.exit(3) }, async *list() { yield { url: 'a' } } }"
  const dir = await dirWith({ [NAME]: pluginText('d7yfs', { client }) })
  const host = hostOf(dir)
  const plugin = await host.load('d7yfs')
  const listed = async (): Promise<unknown[]> => {
    const entries: unknown[] = []
    for await (const entry of plugin!.client.list!(request())) entries.push(entry)
    return entries
  }
  expect(await listed()).toHaveLength(1)
  await put(join(dir, NAME), pluginText('d7yfs'))
  await bodyText(plugin!.client, request()).catch(() => undefined)
  await expect.poll(() => listed().catch((error: Error) => error.message)).toContain('replaced by one without list')
})
