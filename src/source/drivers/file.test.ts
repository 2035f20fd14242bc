import { execFileSync } from 'node:child_process'
import { appendFile, link, mkdir, readdir, rename, symlink, utimes, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { type TempDir, tempDir } from '#devnet'
import { builtInSources } from '../registry.ts'
import { sourceSettings } from '../settings.ts'
import type { ReadOptions, Source } from '../source.ts'
import { testSink } from '../test-sink.ts'
import { fileClient } from './file.ts'

const { signal } = new AbortController()
let dir: TempDir
beforeEach(async () => {
  dir = await tempDir('file')
})
afterEach(() => dir[Symbol.asyncDispose]())

function fileSource(roots: string[] = []): Source {
  const settings = resolveSettings(sourceSettings, [{ file: { roots }, retry: { firstDelay: '1ms', maxDelay: '2ms' } }])
  const source = builtInSources(settings, () => undefined).find(({ scheme }) => scheme === 'file')
  if (source === undefined) throw new Error('no source')
  return source
}

async function read(url: string, options: Partial<ReadOptions> = {}, source = fileSource()): Promise<string> {
  const sink = testSink()
  await source.read({ url, headers: {} }, sink, { signal, ...options })
  return sink.bytes.toString()
}

function urlOf(...parts: string[]): string {
  return pathToFileURL(dir.join(...parts)).href
}

test('files and ranges are read as they are, also behind links and odd names', async () => {
  for (const name of ['plain.txt', 'with space & ü#?.txt', '100%.txt']) {
    await writeFile(dir.join(name), 'hello world')
    expect(await read(urlOf(name))).toBe('hello world')
    expect(await read(urlOf(name), { range: { start: 6, end: 10 } })).toBe('world')
  }
  await symlink(dir.join('plain.txt'), dir.join('link'))
  expect(await read(urlOf('link'))).toBe('hello world')
  expect(await read(urlOf('plain.txt').replace('file://', 'file://localhost'))).toBe('hello world')
})

test('what is no regular file is refused, and never waited for', async () => {
  await mkdir(dir.join('folder'))
  execFileSync('mkfifo', [dir.join('pipe')])
  for (const url of [
    urlOf('folder'),
    urlOf('pipe'),
    'file:///dev/zero',
    'file:///proc/self/environ',
    'file:///sys/kernel/mm/ksm/run',
  ]) {
    await expect(read(url)).rejects.toMatchObject({
      code: expect.stringMatching(/^source\.(not_supported|not_found)$/),
    })
    await expect(fileSource().describe({ url, headers: {} }, signal)).rejects.toMatchObject({
      code: expect.stringMatching(/^source\.(not_supported|not_found)$/),
    })
  }
})

test('URLs that are not file:///absolute/path are refused by name', async () => {
  for (const url of ['file://other.host/etc/passwd', 'file:///etc%2fpasswd', 'file:///a%00b']) {
    await expect(read(url)).rejects.toMatchObject({ code: 'source.not_supported' })
  }
})

test('a missing file is source.not_found, a range beyond the end source.range_invalid', async () => {
  await expect(read(urlOf('none'))).rejects.toMatchObject({ code: 'source.not_found' })
  await writeFile(dir.join('a'), 'hello')
  await writeFile(dir.join('b'), 'hello')
  await expect(read(urlOf('a', 'below'))).rejects.toMatchObject({ code: 'source.not_found' })
  await expect(read(urlOf('b'), { range: { start: 3, end: 5 } })).rejects.toMatchObject({
    code: 'source.range_invalid',
  })
})

test('a file that is written to while it is read is source.changed', async () => {
  await writeFile(dir.join('a'), Buffer.alloc(300_000, 1))
  const sink = testSink()
  let touched: Promise<void> | undefined
  const filled = (length: number): boolean => {
    touched ??= appendFile(dir.join('a'), 'more')
    return sink.filled(length)
  }
  const slow = { ...sink, space: () => sink.space(), filled, drained: async () => touched, full: false }
  const reading = fileSource().read(
    { url: urlOf('a'), headers: {} },
    { ...slow, filled: (n) => (filled(n), false) },
    { signal },
  )
  await expect(reading).rejects.toMatchObject({ code: 'source.changed' })
})

test('a file replaced by another one is another version', async () => {
  await writeFile(dir.join('a'), 'first')
  const { expireInfo } = await fileSource().describe({ url: urlOf('a'), headers: {} }, signal)
  await writeFile(dir.join('b'), 'other')
  await utimes(dir.join('b'), 1, 1)
  await rename(dir.join('b'), dir.join('a'))
  await expect(read(urlOf('a'), { ifMatch: expireInfo })).rejects.toMatchObject({ code: 'source.changed' })
  expect(await fileSource().isExpired({ url: urlOf('a'), headers: {} }, expireInfo, signal)).toBe(true)
})

test('every file stays on this host, but those below a shared root', async () => {
  await mkdir(dir.join('shared', 'sub'), { recursive: true })
  await writeFile(dir.join('shared', 'sub', 'a'), 'shared')
  const source = fileSource([dir.join('shared')])
  expect(source.local(urlOf('shared', 'sub', 'a'))).toBe(false)
  for (const url of [
    urlOf('a'),
    urlOf('shared'),
    urlOf('shared-not', 'a'),
    `${urlOf('shared')}/../a`,
    `${urlOf('shared')}/%2e%2e/a`,
    `${urlOf('shared')}/..%2fa`,
    urlOf('shared', 'a').replace('file://', 'file://other.host'),
    'not a url',
  ]) {
    expect(source.local(url), url).toBe(true)
  }
  expect(fileSource().local(urlOf('shared', 'sub', 'a'))).toBe(true)
  expect(await read(urlOf('shared', 'sub', 'a'), {}, source)).toBe('shared')
})

test('no link leads out of a shared root', async () => {
  await mkdir(dir.join('shared'))
  await mkdir(dir.join('private'))
  await writeFile(dir.join('private', 'key'), 'secret')
  await symlink(dir.join('private', 'key'), dir.join('shared', 'link'))
  await symlink(dir.join('private'), dir.join('shared', 'folder'))
  await symlink('../private/key', dir.join('shared', 'relative'))
  await symlink(dir.join('shared'), dir.join('alias'))
  await writeFile(dir.join('shared', 'own'), 'own')
  await symlink(dir.join('shared', 'own'), dir.join('shared', 'inner'))
  const source = fileSource([dir.join('shared')])
  for (const path of [['link'], ['folder', 'key'], ['relative']]) {
    const url = urlOf('shared', ...path)
    expect(source.local(url)).toBe(false)
    await expect(read(url, {}, source)).rejects.toMatchObject({ code: 'source.denied' })
    await expect(source.describe({ url, headers: {} }, signal)).rejects.toMatchObject({ code: 'source.denied' })
  }
  expect(await read(urlOf('shared', 'inner'), {}, source)).toBe('own')
  expect(await read(urlOf('alias', 'own'), {}, fileSource([dir.join('alias')]))).toBe('own') // the root itself may be a link
})

test('listing a folder behind a link that leads out of a shared root is refused', async () => {
  await mkdir(dir.join('shared'))
  await symlink('/etc', dir.join('shared', 'folder'))
  const list = fileClient({ roots: [dir.join('shared')] }).list({ url: urlOf('shared', 'folder'), headers: {}, signal })
  await expect(list[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'source.denied' })
})

test('no handle stays open, however a read ends', async () => {
  await writeFile(dir.join('a'), Buffer.alloc(1_000_000))
  await link(dir.join('a'), dir.join('b'))
  const before = (await readdir('/proc/self/fd')).length
  const source = fileSource()
  const request = { url: urlOf('b'), headers: {} }
  for (let round = 0; round < 5; round++) {
    await read(urlOf('a'))
    await source.describe(request, signal)
    await source.read(request, testSink({ capacity: 10 }), { signal })
    await source.read(request, testSink(), { signal, ifMatch: { etag: '"x"' } }).catch(() => undefined)
    await source.read(request, testSink(), { signal, range: { start: 0, end: 1e9 } }).catch(() => undefined)
    await source.read({ url: urlOf('none'), headers: {} }, testSink(), { signal }).catch(() => undefined)
    await source.read(request, testSink(), { signal: AbortSignal.abort() }).catch(() => undefined)
  }
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before)
})
