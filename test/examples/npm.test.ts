import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Nginx, startNginx, type TempDir, tempDir, until } from '#devnet'
import { resolveSettings } from '#core'
import { createSources, type Entry, type ResourceClient, sourceSettings } from '#source'
import { testSource } from '../../src/source/testing.ts'
import { buildExample, type Built } from './built-example.ts'
import { startVerdaccio, type Verdaccio } from './verdaccio.ts'

let registry: Verdaccio
let built: Built
let temp: TempDir
beforeAll(async () => {
  temp = await tempDir('npm')
  built = await buildExample('plugin-npm', temp.join('built'))
  registry = await startVerdaccio()
  await registry.publish('left', '1.0.0', { 'index.js': 'first' })
  await registry.publish('left', '1.1.0', { 'index.js': 'second' })
  await registry.publish('@acme/scoped.pkg', '2.0.0-rc.1', { 'index.js': 'scoped' })
  await registry.publish('private-thing', '1.0.0', { 'index.js': 'secret' })
  await registry.publish('large', '1.0.0', { 'noise.bin': randomBytes(33 * 2 ** 20) })
}, 300_000)
afterAll(async () => {
  await registry?.[Symbol.asyncDispose]()
  await temp?.[Symbol.asyncDispose]()
})

const insecure = { insecure: true }
const npm = (path: string): string => `npm://${registry.host}/${path}`
const request = (url: string, more: object = {}) => ({
  url,
  headers: {},
  signal: new AbortController().signal,
  ...more,
})

async function read(client: ResourceClient, url: string, more: object = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const { body } = await client.download(request(url, more))
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function list(client: ResourceClient, url: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of client.list?.(request(url)) ?? []) entries.push(entry)
  return entries
}

testSource(
  'npm with a large package, in a process of its own,',
  async () => {
    const plugin = await built.open(insecure)
    return {
      client: plugin.client,
      url: npm('large@1.0.0'),
      content: await registry.tarball('large', '1.0.0'),
      missingUrl: npm('large@9.9.9'),
      ranges: false,
      listing: { url: npm('left'), names: ['1.0.0', '1.1.0', 'latest'] },
      close: () => plugin[Symbol.asyncDispose](),
    }
  },
  { test },
)

let patch = 0
const move = (): Promise<void> => registry.publish('moving', `1.0.${++patch}`, { 'index.js': `state ${patch}` })
testSource(
  'npm with a tag that moves on',
  async () => {
    if (patch === 0) await move()
    return {
      client: await built.client(insecure),
      url: npm('moving@latest'),
      content: await registry.tarball('moving', `1.0.${patch}`),
      missingUrl: npm('no-such-package'),
      change: move,
    }
  },
  { test },
)

test('a version is known by what the registry publishes of its tarball', async () => {
  const client = await built.client(insecure)
  const digest = `sha512:${createHash('sha512')
    .update(await registry.tarball('left', '1.1.0'))
    .digest('hex')}`
  expect(await client.stat?.(request(npm('left@1.1.0')))).toMatchObject({ digest, expireInfo: { etag: `"${digest}"` } })
  expect(await client.download(request(npm('left')))).toMatchObject({ digest, status: 200 })
  expect(await list(client, npm('left'))).toEqual([
    { url: npm('left@1.0.0'), name: '1.0.0', isDirectory: false, digest: expect.stringMatching(/^sha512:/) },
    { url: npm('left@1.1.0'), name: '1.1.0', isDirectory: false, digest },
    { url: npm('left@latest'), name: 'latest', isDirectory: false, digest },
  ])
})

test('a scoped name is a name', async () => {
  const client = await built.client(insecure)
  const tarball = await registry.tarball('@acme/scoped.pkg', '2.0.0-rc.1')
  expect(await read(client, npm('@acme/scoped.pkg@2.0.0-rc.1'))).toEqual(tarball)
  expect((await list(client, npm('@acme/scoped.pkg'))).map(({ url }) => url)).toContain(npm('@acme/scoped.pkg@latest'))
})

test('what needs a token is denied without one, and read with that of the options or of the user', async () => {
  const url = npm('private-thing@1.0.0')
  const tarball = await registry.tarball('private-thing', '1.0.0')
  await expect(read(await built.client(insecure), url)).rejects.toMatchObject({ code: 'source.denied' })
  const registries = { [registry.host]: { token: 'env:NPM_TOKEN', insecure: true } }
  await using plugin = await built.open({ registries }, { ...process.env, NPM_TOKEN: registry.token })
  expect(await read(plugin.client, url)).toEqual(tarball)
  const headers = { authorization: `Bearer ${registry.token}` }
  expect(await read(await built.client(insecure), url, { headers })).toEqual(tarball)
})

test.each([
  ['left@1.2.3', 'source.not_found'],
  ['left@next', 'source.not_found'],
  ['left@__proto__', 'source.not_found'],
  ['a/b/c', 'source.broken'],
  ['..%2f..', 'source.broken'],
  ['', 'source.broken'],
])('npm://registry/%s is %s', async (path, code) => {
  await expect(read(await built.client(insecure), npm(path))).rejects.toMatchObject({ code })
})

test('a registry that is away, or that is none, is told so', async () => {
  const client = await built.client(insecure)
  const away = read(client, 'npm://127.0.0.1:1/left')
  await expect(away).rejects.toMatchObject({ code: 'source.unreachable', message: /127.0.0.1:1 .*ECONNREFUSED/ })
  await using nginx = await startNginx({ files: { left: new TextEncoder().encode('<html>') } })
  await expect(read(client, `npm://127.0.0.1:${nginx.port}/left`)).rejects.toMatchObject({ code: 'source.broken' })
})

/** A registry of files, as mirrors are, and its tarballs on another server. */
async function mirror(
  dist: object,
  tarball: Uint8Array,
): Promise<{ metadata: Nginx; tarballs: Nginx } & AsyncDisposable> {
  const tarballs = await startNginx({ files: { 'left-1.0.0.tgz': tarball } })
  const whole = { tarball: tarballs.url('left-1.0.0.tgz', 'redirect'), ...dist }
  const packument = { name: 'left', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': { dist: whole } } }
  const metadata = await startNginx({ files: { 'api/npm/left': new TextEncoder().encode(JSON.stringify(packument)) } })
  const close = async (): Promise<void> => {
    await metadata[Symbol.asyncDispose]()
    await tarballs[Symbol.asyncDispose]()
  }
  return { metadata, tarballs, [Symbol.asyncDispose]: close }
}

test('tarballs may lie elsewhere, behind redirects and with ranges; the token goes to the registry alone', async () => {
  const tarball = new Uint8Array(randomBytes(100_000))
  const shasum = createHash('sha1').update(tarball).digest('hex')
  await using servers = await mirror({ shasum }, tarball)
  const { metadata, tarballs } = servers
  const host = `127.0.0.1:${metadata.port}`
  const client = await built.client({ registries: { [host]: { ...insecure, path: '/api/npm', token: 'swordfish' } } })
  const url = `npm://${host}/left@1.0.0`
  expect(await client.stat?.(request(url))).toMatchObject({
    digest: `sha1:${shasum}`,
    contentLength: 100_000,
    supportsRange: true,
  })
  expect(await client.isSupportRange?.(request(url))).toBe(true)
  const part = await read(client, url, { range: { start: 10, end: 99_000 } })
  expect(part.equals(tarball.subarray(10, 99_001))).toBe(true)
  const asked = await until(async () => {
    const log = await tarballs.accessLog()
    return log.some(({ status }) => status === 206) ? log : undefined
  })
  expect(asked?.map(({ authorization }) => authorization).filter((said) => said !== '')).toEqual([])
  expect((await metadata.accessLog()).map(({ authorization }) => authorization)).toContain('Bearer swordfish')
})

test.each([
  [{ integrity: 'sha512-AAAA' }, 'nonsense is told as such', /its digest is "sha512:000000"/],
  [{ integrity: `sha512-${Buffer.alloc(64).toString('base64')}` }, 'a hash of other bytes is handed on', undefined],
])('of %j %s', async (dist, _, refused) => {
  await using servers = await mirror(dist, new Uint8Array(5))
  await using plugin = await built.open({ insecure: true, registries: { '127.0.0.1': { path: '/api/npm' } } })
  const sources = createSources({
    builtIn: [],
    loadPlugin: async () => plugin,
    settings: resolveSettings(sourceSettings, [{ retry: { firstDelay: '1ms' } }]),
    warn: () => undefined,
  })
  const url = `npm://127.0.0.1:${servers.metadata.port}/left`
  const described = (await sources.for(url)).describe({ url, headers: {} }, new AbortController().signal)
  if (refused === undefined) expect(await described).toMatchObject({ digest: { hex: '0'.repeat(128) } })
  else await expect(described).rejects.toMatchObject({ code: 'source.broken', message: refused })
})

test.each([
  [{ registries: { a: { token: '' } } }, /token/],
  [{ registries: { a: { path: 'api' } } }, /path/],
  [{ token: 'swordfish' }, /token/],
])('options like %j are refused when the plugin is loaded', async (options, reason) => {
  await expect(built.open(options).then((plugin) => plugin[Symbol.asyncDispose]())).rejects.toThrow(reason)
})
