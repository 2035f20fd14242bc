import { expect, test } from 'vitest'
import { Failure, flattenSettings, resolveSettings } from '#core'
import { builtInSources, createSources, type LoadedClient } from './registry.ts'
import { type SourceSettings, sourceSettings } from './settings.ts'
import type { Sources } from './source.ts'
import { testSink } from './test-sink.ts'

const settings: SourceSettings = resolveSettings(sourceSettings, [])
const { signal } = new AbortController()
const warn = (): void => undefined

function sources(loadPlugin?: (scheme: string) => Promise<LoadedClient | undefined>): Sources {
  const searched = (): string[] => ['/usr/local/dragonfly/plugins', '/home/x/plugins']
  const builtIn = builtInSources(settings, warn)
  return createSources({ builtIn, settings, warn, searched, ...(loadPlugin === undefined ? {} : { loadPlugin }) })
}

test('every documented scheme has its source', async () => {
  for (const scheme of ['http', 'https', 'file'])
    expect((await sources().for(`${scheme}:///x`.replace('///x', '//h/x'))).scheme).toBe(scheme)
  expect((await sources().for('HTTP://host/x')).scheme).toBe('http')
})

test('an unknown scheme is named, with those that are known and where plugins are looked for', async () => {
  await expect(sources(async () => undefined).for('d7yfs://user:secret@host/x')).rejects.toMatchObject({
    code: 'source.unknown_scheme',
    message:
      'no source reads d7yfs: URLs (known: http, https, file); no plugin for it in /usr/local/dragonfly/plugins, /home/x/plugins',
  })
})

test('what is no URL is usage.invalid', async () => {
  for (const url of ['', 'host/path', '://x', '1a://b']) {
    await expect(sources().for(url)).rejects.toMatchObject({ code: 'usage.invalid' })
  }
})

test('a plugin serves its scheme, as long as it stays the same client with the same source', async () => {
  const loaded = { name: 'plugin s3+x', client: { download: async () => ({ body: Buffer.from('hello') }) } }
  const asked: string[] = []
  const both = sources(async (scheme) => {
    asked.push(scheme)
    return loaded
  })
  const source = await both.for('S3+X.y-z://host/x')
  expect(source.scheme).toBe('s3+x.y-z')
  expect(source.local('s3+x.y-z://host/x')).toBe(false)
  expect(await both.for('s3+x.y-z://other')).toBe(source)
  expect(asked).toEqual(['s3+x.y-z', 's3+x.y-z'])
  const sink = testSink()
  await source.read({ url: 's3+x.y-z://host/x', headers: {} }, sink, { signal })
  expect(sink.bytes.toString()).toBe('hello')
})

test('built-ins come first, and a plugin that cannot be loaded says why', async () => {
  const broken = sources(async () => {
    throw new Failure('plugin.broken', 'syntax error in line 3')
  })
  expect((await broken.for('http://host/')).scheme).toBe('http')
  await expect(broken.for('d7yfs://host/')).rejects.toMatchObject({
    code: 'plugin.broken',
    message: 'syntax error in line 3',
  })
})

test('with the defaults an origin may be away for half a minute in the middle of a download', () => {
  const { attempts, firstDelay, maxDelay } = settings.retry
  let pausesMs = 0
  for (let failures = 1; failures < attempts; failures++)
    pausesMs += Math.min(firstDelay * 2 ** (failures - 1), maxDelay)
  expect(pausesMs * 0.8).toBeGreaterThan(30_000)
})

test('every setting has a help text and a default that it reads back', () => {
  for (const [key, setting] of flattenSettings(sourceSettings)) {
    expect(setting.help.length, key).toBeGreaterThan(10)
    expect(setting.parse(setting.format(setting.default)), key).toEqual(setting.default)
  }
})
