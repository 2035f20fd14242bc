import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Failure } from '#core'
import type { SourceRequest } from '#source'
import { foundAt } from './find.ts'
import { type OpenPlugin, openPlugin } from './open.ts'
import { sha256Of } from './policy/pins.ts'
import type { PluginPolicy } from './settings.ts'
import { bodyText, dirWith, pluginText, policyOf, put } from './test-host.ts'

const NAME = 'd7y-resource-plugin-store.mjs'
const DEADLINE_MS = 30_000

interface How {
  readonly options?: Readonly<Record<string, unknown>>
  readonly policy?: Partial<PluginPolicy>
  readonly env?: NodeJS.ProcessEnv
  readonly printed?: string[]
}

/** Opens a plugin as a host does, with time enough on a busy machine. */
async function opened(
  path: string,
  { options = {}, policy = {}, env = {}, printed = [] }: How = {},
): Promise<OpenPlugin> {
  const plugin = await openPlugin(await foundAt(path), {
    options: { store: options },
    policy: policyOf({ startTimeout: DEADLINE_MS, ...policy }),
    env: { PATH: process.env['PATH'], ...env },
    warn: (message) => void printed.push(message),
    print: (line) => void printed.push(line),
  })
  onTestFinished(() => plugin[Symbol.asyncDispose]())
  return plugin
}

async function refusalOf(path: string, how: How = {}): Promise<Failure> {
  try {
    await opened(path, how)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it was not refused')
}

/** A plugin whose every body is what the expression gives. */
async function storeWith(expression: string, more: { before?: string; metadata?: string } = {}): Promise<string> {
  const client = `{ download: async (request) => ({ body: Buffer.from(String(await (${expression}))) }) }`
  const metadata = `{ type: 'resource', name: 'store', scheme: 'store', ${more.metadata ?? ''} }`
  const before = `import fs from 'node:fs'; import { execFileSync } from 'node:child_process'\n${more.before ?? ''}`
  return join(await dirWith({ [NAME]: pluginText('store', { client, metadata, before }) }), NAME)
}

const request = (): SourceRequest => ({
  url: 'store://host/path',
  headers: {},
  signal: AbortSignal.timeout(DEADLINE_MS),
})

const SCHEMA = `export const DragonflyPluginOptions = {
  type: 'object', required: ['bucket'], additionalProperties: false,
  properties: { bucket: { type: 'string' }, port: { type: 'integer', default: 9000 } },
}`

test('wrong options are refused with the key and the reason, and right ones get their defaults', async () => {
  const path = await storeWith('JSON.stringify(options)', { before: SCHEMA })
  expect(await refusalOf(path)).toMatchObject({ code: 'config.invalid', message: 'plugins.store.bucket: is missing' })
  expect(await refusalOf(path, { options: { bucket: 'b', port: 'many' } })).toMatchObject({
    code: 'config.invalid',
    message: 'plugins.store.port: must be integer',
  })
  const plugin = await opened(path, { options: { bucket: 'b' } })
  expect(plugin.hasSchema).toBe(true)
  expect(JSON.parse(await bodyText(plugin.client, request()))).toEqual({ bucket: 'b', port: 9000 })
})

test('secrets arrive, and are in nothing that the plugin throws, prints or says of itself', async () => {
  const dir = await dirWith({ key: 'k3y-of-the-file\n' })
  const before = `export const DragonflyPluginOptions = { properties: { list: { type: 'array' } } }`
  const deeds = `(() => {
    console.log('using', options.token, 'and', options.list[0])
    process.stderr.write(options.token + '\\n')
    if (request.url.endsWith('throw')) throw new Error('401 for ' + options.token + ' ' + encodeURIComponent(options.list[0]))
    return options.token + ' ' + options.list[0]
  })()`
  const path = await storeWith(deeds, { before, metadata: 'vendor: options.token, more: [options.list[0]]' })
  const printed: string[] = []
  const options = { token: 'env:STORE_TOKEN', list: [`file:${join(dir, 'key')}`] }
  const env = { STORE_TOKEN: 't0k&n of the env' }
  const plugin = await opened(path, { options, env, printed })
  expect(await bodyText(plugin.client, request())).toBe('t0k&n of the env k3y-of-the-file')
  expect(plugin.metadata).toMatchObject({ vendor: '[hidden]', more: ['[hidden]'] })
  await expect
    .poll(() => printed.toSorted(), { timeout: DEADLINE_MS })
    .toEqual(['[hidden]', 'using [hidden] and [hidden]'])
  const thrown: unknown = await plugin.client
    .download({ ...request(), url: 'store://host/throw' })
    .catch((error) => error)
  expect(thrown).toMatchObject({ message: '401 for [hidden] [hidden]' })
  expect((thrown as Error).stack).not.toMatch(/t0k|k3y/)
})

test('a secret is not in the reason for which a plugin is refused', async () => {
  const path = await storeWith('1', {
    before: `export const DragonflyPluginOptions = { '~standard': { version: 1,
    vendor: 'x', validate: (options) => ({ issues: [{ message: 'not ' + options.token, path: ['token'] }] }) } }`,
  })
  const how = { options: { token: 'env:T' }, env: { T: 'hunter2' } }
  expect(await refusalOf(path, how)).toMatchObject({ message: 'plugins.store.token: not [hidden]' })
  const throwing = await storeWith('1', { metadata: `vendor: (() => { throw new Error(options.token) })()` })
  expect((await refusalOf(throwing, how)).message).toBe('DragonflyPluginInit failed: [hidden]')
})

test('after a crash it is not started from another file in the place of the one that was admitted', async () => {
  const path = await storeWith(`request.url.endsWith('crash') ? process.exit(3) : 'as it was'`)
  const plugin = await opened(path)
  const crash = (): Promise<string> => bodyText(plugin.client, { ...request(), url: 'store://host/crash' })
  await expect(crash()).rejects.toMatchObject({ code: 'plugin.crashed' })
  expect(await bodyText(plugin.client, request())).toBe('as it was')
  await expect(crash()).rejects.toMatchObject({ code: 'plugin.crashed' })
  await writeFile(path, pluginText('store'))
  await expect(bodyText(plugin.client, request())).rejects.toMatchObject({
    code: 'plugin.broken',
    message: expect.stringContaining('its file is not the one that was loaded'),
  })
})

test('of a secret that is longer than a message nothing is told either', async () => {
  const token = `begin${'0123456789'.repeat(900)}`
  const how = { options: { token: 'env:T' }, env: { T: token }, printed: [] as string[] }
  const failing = await storeWith('1', { metadata: `vendor: (() => { throw new Error('bad ' + options.token) })()` })
  expect((await refusalOf(failing, how)).message).toBe('DragonflyPluginInit failed: bad [hidden]…')
  const path = await storeWith(`(() => { console.log(options.token); throw new Error('bad ' + options.token) })()`)
  const plugin = await opened(path, how)
  await expect(bodyText(plugin.client, request())).rejects.toThrow(/^bad \[hidden\]…$/)
  await expect.poll(() => how.printed).toEqual(['[hidden]'])
})

test('a file that was not granted cannot be read, and what is told says how to grant it', async () => {
  const dir = await dirWith({ 'a file': 'its text' })
  const file = join(dir, 'a file')
  const path = await storeWith(`fs.promises.readFile(${JSON.stringify(file)}, 'utf8')`)
  const ungranted = await opened(path)
  await expect(ungranted.client.download(request())).rejects.toThrow(
    `it may not read ${file}, which it was not granted: grant it in the configuration (pluginPolicy.grants.store.files), or with --plugin-grant 'store.files=${file}'`,
  )
  for (const files of [[file], [dir]]) {
    const granted = await opened(path, { policy: { grants: { store: { files } } } })
    expect(await bodyText(granted.client, request())).toBe('its text')
  }
})

test('what is read while a plugin loads, or while its body goes, is told alike', async () => {
  const loading = await storeWith('1', { before: `fs.readFileSync('/etc/hostname')` })
  expect(await refusalOf(loading)).toMatchObject({
    code: 'plugin.broken',
    message: expect.stringMatching(
      /^it cannot be loaded: it may not read \/etc\/hostname, .*store\.files=\/etc\/hostname$/,
    ),
  })
  const client = `{ download: async () => ({ body: fs.createReadStream('/etc/hostname') }) }`
  const dir = await dirWith({ [NAME]: pluginText('store', { client, before: `import fs from 'node:fs'` }) })
  const plugin = await opened(join(dir, NAME))
  await expect(bodyText(plugin.client, request())).rejects.toThrow('it may not read /etc/hostname, which')
})

test('writing, other programs and the environment are kept back until they are granted', async () => {
  const dir = await dirWith()
  const target = join(dir, 'new/file')
  const write = `(fs.mkdirSync(${JSON.stringify(join(dir, 'new'))}), fs.writeFileSync(${JSON.stringify(target)}, 'x'), 'written')`
  for (const [deed, grants, answer, refusal] of [
    [write, { writes: [join(dir, 'new')] }, 'written', `it may not write ${join(dir, 'new')}, which`],
    [`execFileSync('echo', ['ran'])`, { processes: true }, 'ran\n', 'it may not run other programs, which'],
  ] as const) {
    const path = await storeWith(deed)
    await expect((await opened(path)).client.download(request())).rejects.toThrow(refusal)
    const granted = await opened(path, { policy: { grants: { store: grants } } })
    expect(await bodyText(granted.client, request())).toBe(answer)
  }
  const path = await storeWith(`Object.keys(process.env).filter((name) => name.startsWith('STORE_')).sort()`)
  const env = { STORE_KEY: 'x', STORE_URL: 'y' }
  expect(await bodyText((await opened(path, { env })).client, request())).toBe('')
  const one = await opened(path, { env, policy: { grants: { store: { environment: ['STORE_KEY'] } } } })
  expect(await bodyText(one.client, request())).toBe('STORE_KEY')
  const all = await opened(path, { env, policy: { grants: { store: 'all' } } })
  expect(await bodyText(all.client, request())).toBe('STORE_KEY,STORE_URL')
  expect(all.enforcement).toMatchObject({ files: 'not enforced', environment: 'not enforced' })
})

test('a plugin that declares what it was not granted is refused with the flags that grant it', async () => {
  const metadata = `permissions: { network: ['host:22'], files: ['/etc/x y'], environment: ['STORE_*'], processes: true }`
  const path = await storeWith('1', { metadata })
  expect(await refusalOf(path, { policy: { grants: { store: { processes: true } } } })).toMatchObject({
    code: 'plugin.refused',
    message:
      'it needs what it was not granted: files=/etc/x y, environment=STORE_*; grant it in the configuration ' +
      "(pluginPolicy.grants.store), or with --plugin-grant 'store.files=/etc/x y' --plugin-grant 'store.environment=STORE_*'",
  })
  const grants = { store: { processes: true, files: ['/etc'], environment: ['*'] } }
  expect((await opened(path, { policy: { grants } })).metadata.permissions).toMatchObject({ processes: true })
  expect((await opened(path, { policy: { grants: { store: 'all' } } })).scheme).toBe('store')
})

test('grants and declarations that are none are refused', async () => {
  const path = await storeWith('1')
  expect(await refusalOf(path, { policy: { grants: { store: { file: '/x' } } } })).toMatchObject({
    code: 'config.invalid',
    message: expect.stringMatching(/^pluginPolicy\.grants\.store: there is no permission "file"/),
  })
  const declaring = await storeWith('1', { metadata: `permissions: { files: ['x'] }` })
  expect(await refusalOf(declaring, { policy: { grants: { store: 'all' } } })).toMatchObject({
    code: 'plugin.broken',
    message: 'metadata.permissions.files: "x" is no absolute path',
  })
})

test('a pinned plugin is that file or none, and none of its code is run before', async () => {
  const path = await storeWith('1', { before: `console.log('ran')` })
  const pin = await sha256Of(path)
  expect((await opened(path, { policy: { pins: { store: pin } } })).sha256).toBe(pin)
  await put(path, `console.log('ran')\n${pluginText('store')}`)
  const printed: string[] = []
  expect(await refusalOf(path, { policy: { pins: { store: pin } }, printed })).toMatchObject({
    code: 'plugin.refused',
    message: expect.stringContaining(`pluginPolicy.pins.store says ${pin}`),
  })
  expect(printed).toEqual([])
})

test('a directory that everybody may write to has no plugin that is run; the line that mends it is told', async () => {
  const dir = await dirWith({ [`plugins/${NAME}`]: pluginText('store', { before: `console.log('ran')` }) })
  await chmod(join(dir, 'plugins'), 0o777)
  const printed: string[] = []
  expect(await refusalOf(join(dir, 'plugins', NAME), { printed })).toMatchObject({
    code: 'plugin.refused',
    message: expect.stringContaining(`chmod o-w ${join(dir, 'plugins')}`),
  })
  expect(printed).toEqual([])
  await chmod(join(dir, 'plugins'), 0o755)
  expect((await opened(join(dir, 'plugins', NAME))).scheme).toBe('store')
})

const ESM = pluginText('store')
const COMMONJS = pluginText('store').replace('export const DragonflyPluginInit', 'exports.DragonflyPluginInit')
const DEPENDENCY = {
  'node_modules/dep/package.json': '{ "main": "i.js" }',
  'node_modules/dep/i.js': 'module.exports = 1',
}

test.each<readonly [string, Readonly<Record<string, string>>]>([
  ['d7y-resource-plugin-store.js', { 'd7y-resource-plugin-store.js': ESM }],
  ['d7y-resource-plugin-store.js', { 'd7y-resource-plugin-store.js': COMMONJS }],
  ['d7y-resource-plugin-store.js', { 'd7y-resource-plugin-store.js': ESM, 'package.json': '{ "type": "module" }' }],
  [
    'a/b/d7y-resource-plugin-store.js',
    { 'a/b/d7y-resource-plugin-store.js': ESM, 'package.json': '{ "type": "module" }' },
  ],
  [
    'a/b/d7y-resource-plugin-store.js',
    { 'a/b/d7y-resource-plugin-store.js': COMMONJS, 'package.json': '{ "type": "commonjs" }' },
  ],
  ['a, b/%20#?/d7y-resource-plugin-store.mjs', { 'a, b/%20#?/d7y-resource-plugin-store.mjs': ESM }],
])('a plugin file (%s) of any kind of module loads, wherever it lies, without a grant', async (name, files) => {
  expect((await opened(join(await dirWith(files), name))).scheme).toBe('store')
})

test('a folder loads what lies in it, however deep its main module is, and nothing from outside', async () => {
  const folder = 'd7y-resource-plugin-store'
  const inFolder = (files: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]))
  for (const files of [
    { 'package.json': '{ "type": "module", "main": "dist/main.js" }', 'dist/main.js': `import 'dep'\n${ESM}` },
    {
      'package.json': '{ "exports": "./dist/in/main.mjs" }',
      'dist/in/main.mjs': `import '../x.cjs'\n${ESM}`,
      'dist/x.cjs': '',
    },
    {
      'package.json': '{ "main": "dist/main.js" }',
      'dist/main.js': `require('dep'); require('../package.json')\n${COMMONJS}`,
    },
  ]) {
    const dir = await dirWith(inFolder({ ...DEPENDENCY, ...files }))
    expect((await opened(join(dir, folder))).scheme).toBe('store')
  }
  const dir = await dirWith(
    inFolder({ 'package.json': '{ "main": "m.mjs" }', 'm.mjs': `import '../outside.mjs'\n${ESM}` }),
  )
  await writeFile(join(dir, 'outside.mjs'), '')
  expect((await refusalOf(join(dir, folder))).message).toMatch(/outside\.mjs/)
})

test('a plugin behind a link, or in a directory behind one, loads as if it lay there', async () => {
  const dir = await dirWith({
    'real/package.json': '{ "type": "module", "main": "dist/main.js" }',
    'real/dist/main.js': ESM,
  })
  await mkdir(join(dir, 'plugins'))
  await symlink('../real/dist/main.js', join(dir, 'plugins/d7y-resource-plugin-store.js'))
  await symlink('../real', join(dir, 'plugins/d7y-resource-plugin-store'))
  await symlink('plugins', join(dir, 'linked'))
  for (const name of [
    'plugins/d7y-resource-plugin-store.js',
    'linked/d7y-resource-plugin-store.js',
    'linked/d7y-resource-plugin-store',
  ])
    expect((await opened(join(dir, name))).scheme, name).toBe('store')
})

test('an aborted call fails with the reason of the abort', async () => {
  const plugin = await opened(await storeWith('new Promise(() => {})'))
  const abort = new AbortController()
  const call = plugin.client.download({ ...request(), signal: abort.signal })
  abort.abort()
  await expect(call).rejects.toBe(abort.signal.reason)
})
