import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { PROGRAM_ENV, programPath, programsBuilt, spawnNode, tempDir, until } from '#devnet'
import { createPluginHost, type PluginHost } from '../index.ts'
import { bodyText, dirWith, pluginText, policyOf } from '../test-host.ts'

const NAME = 'd7y-resource-plugin-x.mjs'
const REQUEST = { url: 'x://a/b', headers: {}, signal: new AbortController().signal }

async function hostOf(text: string, policy: Parameters<typeof policyOf>[0] = {}): Promise<PluginHost> {
  const dirs = [{ path: await dirWith({ [NAME]: text }), given: true }]
  const host = createPluginHost({ dirs, options: {}, policy: policyOf(policy), warn: () => undefined })
  onTestFinished(() => host[Symbol.asyncDispose]())
  onTestFinished(() => void vi.unstubAllEnvs())
  return host
}

test('a place for temporary files that is gone fails the load with plugin.crashed, and only while it is gone', async () => {
  const place = join(await dirWith(), 'gone')
  const host = await hostOf(pluginText('x'))
  vi.stubEnv('TMPDIR', place)
  const failure = { code: 'plugin.crashed', message: expect.stringContaining('its process cannot be started: ENOENT') }
  await expect(host.load('x')).rejects.toMatchObject(failure)
  await mkdir(place)
  await expect.poll(() => host.load('x').then((plugin) => plugin?.scheme), { timeout: 10_000 }).toBe('x')
})

test.each([
  ['has a name too long for a socket', (dir: string) => join(dir, 'x'.repeat(100))],
  ['is written from the current directory', () => 'node_modules/..'],
])('a plugin runs where the place for temporary files %s', async (_, name) => {
  const place = name(await dirWith())
  await mkdir(place, { recursive: true })
  const host = await hostOf(pluginText('x'))
  vi.stubEnv('TMPDIR', place)
  const plugin = await host.load('x')
  expect(await bodyText(plugin!.client, REQUEST)).toBe('hello world')
})

test('hundreds of calls at a plugin that is busy wait for it, and all are answered', async () => {
  const client = `{
    async download() {},
    async getLastModified({ url }) {
      if (url.endsWith('busy')) for (const start = Date.now(); Date.now() < start + 1500; );
      return 7
    },
  }`
  const { client: asked } = (await (await hostOf(pluginText('x', { client }), { hangTimeout: 60_000 })).load('x'))!
  const busy = asked.getLastModified!({ ...REQUEST, url: 'x://a/busy' })
  await sleep(300) // the calls are to come while it does not accept any
  const all = await Promise.all(Array.from({ length: 1500 }, () => asked.getLastModified!(REQUEST)))
  expect([...new Set([...all, await busy])]).toEqual([7])
})

const NEVER_READY = pluginText('x', {
  before: `import { writeFileSync } from 'node:fs'
    if (process.env.MARK) writeFileSync(process.env.MARK, '')
    await new Promise(() => setInterval(() => undefined, 1e6))`,
})

test('a host that ends does not wait for a plugin that is being loaded', async () => {
  const host = await hostOf(NEVER_READY, { startTimeout: 3_600_000 })
  const load = host.load('x').catch((error: unknown) => error)
  await sleep(200)
  await host[Symbol.asyncDispose]()
  expect(await load).toMatchObject({ message: expect.stringContaining('its host ends') })
})

test('Ctrl-C ends dfget while a plugin is being loaded', async () => {
  await programsBuilt()
  await using dir = await tempDir('loading')
  const plugins = await dirWith({ [NAME]: NEVER_READY })
  await writeFile(dir.join('config.yaml'), 'pluginPolicy: { startTimeout: 1h, grants: { x: all } }')
  const ways = ['--workhome', dir.join('home'), '--plugin-dir', plugins, '--config', dir.join('config.yaml')]
  await using dfget = await spawnNode({
    args: [programPath('dfget'), 'x://a/b', '-O', dir.join('out'), '-p', 'source', ...ways],
    env: { ...PROGRAM_ENV, MARK: dir.join('mark') },
  })
  await until(() => existsSync(dir.join('mark')), { what: 'the plugin to be loaded' })
  dfget.kill('SIGINT')
  expect(await dfget.exited).toMatchObject({ code: 130 })
})
