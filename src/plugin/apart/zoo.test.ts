import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createSources, type Source, sourceSettings } from '#source'
import { type ByteSink, Failure, resolveSettings } from '#core'
import { createPluginHost, type PluginHost, type PluginPolicy } from '../index.ts'
import { dirWith, pluginText, policyOf, put } from '../test-host.ts'
import { residentBytes } from './watch-process.ts'

const MiB = 2 ** 20
const NAME = 'd7y-resource-plugin-bad.mjs'
const URL_OF_IT = 'bad://host/file'

interface Zoo {
  readonly host: PluginHost
  readonly warnings: string[]
  readonly printed: string[]
  /** The plugin as a download uses it, but asked once only. */
  source(url?: string): Promise<Source>
}

/** A host with the plugin of this client, and a good neighbour. */
async function zooOf(client: string, policy: Partial<PluginPolicy> = {}, before = '', idleMs = 30_000): Promise<Zoo> {
  const dir = await dirWith({
    [NAME]: pluginText('bad', { client, before }),
    'd7y-resource-plugin-good.mjs': pluginText('good'),
  })
  const [warnings, printed]: [string[], string[]] = [[], []]
  const host = createPluginHost({
    dirs: [{ path: dir, given: true }],
    options: {},
    policy: policyOf({ hangTimeout: 20_000, crashes: 3, coolDown: 60_000, ...policy }),
    warn: (message) => void warnings.push(message),
    print: (_scheme, line) => void printed.push(line),
  })
  onTestFinished(() => host[Symbol.asyncDispose]())
  const once = { ...resolveSettings(sourceSettings, []) }
  const settings = { ...once, idleTimeout: idleMs, retry: { ...once.retry, attempts: 1, probeAttempts: 1 } }
  const sources = createSources({
    builtIn: [],
    async loadPlugin(scheme) {
      const plugin = await host.load(scheme)
      return plugin && { client: plugin.client, name: plugin.name, apart: true }
    },
    settings,
    warn: (message) => void warnings.push(message),
  })
  return { host, warnings, printed, source: (url = URL_OF_IT) => sources.for(url) }
}

/** Takes what it is given and remembers nothing but its length. */
function counting(): ByteSink & { readonly bytes: number } {
  const space = new Uint8Array(64 * 1024)
  let bytes = 0
  return {
    space: () => space,
    filled(length) {
      bytes += length
      return true
    },
    drained: async () => undefined,
    full: false,
    get bytes() {
      return bytes
    },
  }
}

async function readAll(source: Source, url = URL_OF_IT): Promise<number> {
  const sink = counting()
  await source.read({ url, headers: {} }, sink, { signal: AbortSignal.timeout(20_000) })
  return sink.bytes
}

/** What a read fails with; and the neighbour goes on as if nothing had been. */
async function failureOf(zoo: Zoo): Promise<Failure> {
  const failure = await readAll(await zoo.source()).catch((error: unknown) => error)
  expect(await readAll(await zoo.source('good://host/file'), 'good://host/file')).toBe('hello world'.length)
  expect(failure).toBeInstanceOf(Failure)
  return failure as Failure
}

const endless = 'async function* body() { for (;;) yield Buffer.alloc(65536) }'

test('a plugin that calls process.exit fails its call with plugin.crashed, and is started anew for the next', async () => {
  const zoo = await zooOf(
    `{ async download({ url }) { if (url.endsWith('file')) process.exit(3); return { body: Buffer.from('x') } } }`,
  )
  const failure = await failureOf(zoo)
  expect(failure).toMatchObject({ code: 'plugin.crashed' })
  expect(failure.message).toMatch(
    /^cannot read bad:\/\/host\/file: plugin bad \(.*\): its process ended \(exit code 3\)$/,
  )
  expect(await readAll(await zoo.source('bad://host/other'), 'bad://host/other')).toBe(1)
  expect(zoo.warnings).toEqual([expect.stringContaining('exit code 3); it is started anew when it is needed')])
  expect(zoo.host.samples()).toContainEqual({
    name: 'dragonfly_plugin_restarts_total',
    labels: { scheme: 'bad' },
    value: 1,
  })
})

test('a plugin that spins is ended, and its call fails with plugin.hung', async () => {
  const failure = await failureOf(await zooOf('{ async download() { for (;;); } }', { hangTimeout: 600 }))
  expect(failure).toMatchObject({ code: 'plugin.hung', message: expect.stringContaining('it did not react for 0.6 s') })
})

test('a plugin that spins while it is loaded is broken, and says so', async () => {
  const zoo = await zooOf('{ async download() {} }', { hangTimeout: 600 }, 'for (;;);')
  await expect(zoo.source()).rejects.toMatchObject({ code: 'plugin.broken' })
  await expect(zoo.source()).rejects.toThrow('did not react')
})

test.skipIf(process.platform !== 'linux').each([
  [
    'in buffers',
    'const kept = []; for (;;) { kept.push(Buffer.alloc(16 * 2 ** 20, 1)); await new Promise(setImmediate) }',
  ],
  ['in buffers, without a pause', 'const kept = []; for (;;) kept.push(Buffer.alloc(16 * 2 ** 20, 1))'],
  ['in objects', 'const kept = []; for (;;) kept.push({ text: String(Math.random()).repeat(100) })'],
])('a plugin that leaks %s is ended before it takes the machine', async (_, body) => {
  const zoo = await zooOf(`{ async download() { ${body} } }`, { memory: 200 * MiB })
  const before = await residentBytes(process.pid)
  const failure = await failureOf(zoo)
  expect(failure).toMatchObject({ code: 'plugin.crashed' })
  expect((await residentBytes(process.pid))! - before!).toBeLessThan(100 * MiB)
})

test('what a plugin throws in a timer, or rejects unhandled, is logged, and its call goes on', async () => {
  const client = `{ async download() {
    setTimeout(() => { throw new Error('out of the timer') })
    Promise.reject(new Error('nobody looks'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    return { body: Buffer.from('all the same') }
  } }`
  const zoo = await zooOf(client)
  expect(await readAll(await zoo.source())).toBe('all the same'.length)
  await expect
    .poll(() => zoo.printed.join('\n'))
    .toMatch(/out of the timer[\s\S]*nobody looks|nobody looks[\s\S]*out of the timer/)
  expect(zoo.warnings.filter((text) => text.includes('process ended'))).toEqual([])
})

test('a plugin that prints without end costs the log some lines and the host no memory', async () => {
  const client = `{ async download() {
    const text = ('x'.repeat(1023) + '\\n').repeat(64)
    for (let at = 0; at < 200 * 16; at++) {
      if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve))
    }
    return { body: Buffer.from('printed') }
  } }`
  const zoo = await zooOf(client, {})
  const before = process.memoryUsage().rss
  expect(await readAll(await zoo.source())).toBe('printed'.length)
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * MiB)
  expect(zoo.printed.join('').length).toBeLessThan(MiB)
  await zoo.host[Symbol.asyncDispose]()
  expect(zoo.printed.at(-1)).toMatch(/MiB more were printed and are left out/)
})

test('a body that never ends stops at the length that was announced', async () => {
  const client = `{ async download() { ${endless}; return { body: body(), contentLength: 100000 } } }`
  expect((await failureOf(await zooOf(client))).message).toContain('the body has more than the 100000 bytes announced')
})

test('a body that goes silent fails after the idle time, and the plugin is told', async () => {
  const client = `{ async download({ signal }) {
    async function* body() {
      yield Buffer.from('x')
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      console.log('told')
    }
    return { body: body(), contentLength: 2 }
  } }`
  const zoo = await zooOf(client, {}, '', 500)
  expect(await failureOf(zoo)).toMatchObject({ code: 'source.unreachable' })
  await expect.poll(() => zoo.printed).toContain('told')
})

test('a body that nobody reads any more is let go of', async () => {
  const client = `{ async download() {
    async function* body() {
      try { for (;;) { yield Buffer.from('x'); await new Promise((resolve) => setTimeout(resolve, 5)) } }
      finally { console.log('let go') }
    }
    return { body: body() }
  } }`
  const zoo = await zooOf(client)
  const abort = new AbortController()
  const sink = counting()
  const reading = (await zoo.source()).read({ url: URL_OF_IT, headers: {} }, sink, { signal: abort.signal })
  await expect.poll(() => sink.bytes).toBeGreaterThan(0)
  abort.abort()
  await expect(reading).rejects.toMatchObject({ code: 'download.cancelled' })
  await expect.poll(() => zoo.printed).toContain('let go')
})

test.each([
  ['too short', 5, 'the body ended after 3 of 5 bytes'],
  ['too long', 2, 'the body has more than the 2 bytes announced'],
  ['that has bytes where none were announced', 0, 'the body has more than the 0 bytes announced'],
])('a body %s is an error, not a file', async (_, announced, message) => {
  const client = `{ async download() { return { body: (async function* () { yield Buffer.from('abc') })(), contentLength: ${announced} } } }`
  const failure = await failureOf(await zooOf(client))
  expect(failure).toMatchObject({ code: 'source.broken', message: expect.stringContaining(message) })
})

test('a chunk that is no Uint8Array is an error that says what it is', async () => {
  const client = "{ async download() { return { body: (async function* () { yield 'text' })() } } }"
  expect((await failureOf(await zooOf(client))).message).toContain(
    'a chunk of the body is a string, expected a Uint8Array',
  )
})

test.each([
  ['status: NaN', 'status is NaN, expected a plain number'],
  ['contentLength: Infinity', 'contentLength is Infinity, expected a plain number'],
  ['contentLength: 1n', 'contentLength is a bigint, expected a plain number'],
])('an answer with %s is an error that says so, and no file', async (field, said) => {
  const zoo = await zooOf(`{ async download() { return { body: (async function* () {})(), ${field} } } }`)
  expect((await failureOf(zoo)).message).toContain(said)
})

test('a length that is a bigint is told as what it is', async () => {
  const zoo = await zooOf(
    "{ async download() { return { body: Buffer.from('x') } }, getContentLength: async () => 1n }",
  )
  const { client } = (await zoo.host.load('bad'))!
  const asked = client.getContentLength!({ url: URL_OF_IT, headers: {}, signal: AbortSignal.timeout(20_000) })
  await expect(asked).rejects.toThrow('the answer of getContentLength is a bigint, expected a plain number')
})

test('a plugin that crashes again and again is left alone: calls fail at once with plugin.down', async () => {
  const zoo = await zooOf('{ async download() { process.abort() } }')
  for (let crash = 0; crash < 3; crash++) expect(await failureOf(zoo)).toMatchObject({ code: 'plugin.crashed' })
  const failure = await failureOf(zoo)
  expect(failure).toMatchObject({ code: 'plugin.down' })
  expect(failure.message).toMatch(
    /it crashed 3 times within a minute \(its process ended \(SIGABRT\)\) and is left alone for another/,
  )
  expect(zoo.warnings.at(-1)).toContain('it is left alone for 1m')
})

test('after its time alone a plugin that works again serves again', async () => {
  const client = `{ async download() { if (Date.now() < ${Date.now() + 3000}) process.abort(); return { body: Buffer.from('well') } } }`
  const zoo = await zooOf(client, { crashes: 1, coolDown: 1000 })
  expect(await failureOf(zoo)).toMatchObject({ code: 'plugin.crashed' })
  expect(await failureOf(zoo)).toMatchObject({ code: 'plugin.down' })
  await expect.poll(async () => readAll(await zoo.source()).catch(() => 0), { timeout: 15_000, interval: 200 }).toBe(4)
})

test('a plugin reads no further ahead than its host takes', async () => {
  const client = `{ async download() {
    let given = 0
    setInterval(() => console.log(given), 50)
    async function* body() { for (;;) { given += 65536; yield Buffer.alloc(65536) } }
    return { body: body() }
  } }`
  const zoo = await zooOf(client)
  const abort = new AbortController()
  const stuck: ByteSink = {
    space: () => new Uint8Array(1024),
    filled: () => false,
    drained: () => new Promise(() => undefined),
    full: false,
  }
  const reading = (await zoo.source()).read({ url: URL_OF_IT, headers: {} }, stuck, { signal: abort.signal })
  await sleep(400)
  abort.abort()
  await expect(reading).rejects.toMatchObject({ code: 'download.cancelled' })
  expect(Math.max(...zoo.printed.map(Number))).toBeLessThan(4 * MiB)
})

test('memory that a plugin uses again for its next chunk is not what arrives', async () => {
  const client = `{ async download() {
    async function* body() {
      const one = Buffer.alloc(300000)
      for (let at = 0; at < 200; at++) yield one.fill(at)
    }
    return { body: body(), contentLength: 200 * 300000 }
  } }`
  const zoo = await zooOf(client)
  let at = 0
  let wrong = 0
  const space = Buffer.alloc(100_003)
  const checking: ByteSink = {
    space: () => space,
    filled(length) {
      for (let byte = 0; byte < length; byte += 997) if (space[byte] !== Math.floor((at + byte) / 300_000)) wrong++
      at += length
      return at % 7 !== 0
    },
    drained: () => sleep(1),
    full: false,
  }
  await (await zoo.source()).read({ url: URL_OF_IT, headers: {} }, checking, { signal: AbortSignal.timeout(20_000) })
  expect([at, wrong]).toEqual([60_000_000, 0])
})

test('a process that lies to its host about the protocol fails its call, and no other', async () => {
  const before = `import net from 'node:net'
    const write = net.Socket.prototype.write
    globalThis.lie = () => { net.Socket.prototype.write = function (chunk, ...more) { return write.call(this, Buffer.alloc(64, 0xff), ...more) } }`
  const zoo = await zooOf("{ async download() { globalThis.lie(); return { body: Buffer.from('x') } } }", {}, before)
  expect(await failureOf(zoo)).toMatchObject({ code: 'plugin.crashed' })
})

test('100 downloads while the file is swapped 10 times: none fails, and no process is left over', {
  timeout: 60_000,
}, async () => {
  const text = (number: number) =>
    pluginText('bad', {
      client: `{ async download() {
        async function* body() { for (let at = 0; at < 64; at++) { yield Buffer.alloc(16384, ${number}); await new Promise((r) => setTimeout(r, 2)) } }
        return { body: body(), contentLength: 64 * 16384 }
      } }`,
    })
  const dir = await dirWith()
  await mkdir(join(dir, 'plugins'))
  const file = join(dir, 'plugins', NAME)
  await put(file, text(0))
  const warnings: string[] = []
  const host = createPluginHost({
    dirs: [{ path: join(dir, 'plugins'), given: true }],
    options: {},
    policy: policyOf({ drainTimeout: 300 }),
    warn: (message) => void warnings.push(message),
  })
  onTestFinished(() => host[Symbol.asyncDispose]())
  const settings = resolveSettings(sourceSettings, [])
  const sources = createSources({
    builtIn: [],
    async loadPlugin(scheme) {
      const plugin = await host.load(scheme)
      return plugin && { client: plugin.client, name: plugin.name, apart: true }
    },
    settings,
    warn: () => undefined,
  })
  const seen = new Set<number>()
  const download = async (): Promise<number> => {
    const sink = counting()
    await (await sources.for(URL_OF_IT)).read({ url: URL_OF_IT, headers: {} }, sink, {
      signal: AbortSignal.timeout(30_000),
    })
    seen.add(sink.space()[0] ?? -1)
    return sink.bytes
  }
  const running: Promise<number>[] = []
  for (let number = 1; number <= 10; number++) {
    for (let at = 0; at < 10; at++) running.push(download())
    await sleep(250)
    await put(`${file}.new`, text(number))
    await rename(`${file}.new`, file)
  }
  const given = await Promise.all(running)
  expect(given).toEqual(Array.from({ length: 100 }, () => 64 * 16384))
  expect(warnings).toEqual([])
  expect(seen.size).toBeGreaterThan(1)
  await expect.poll(() => download().then(() => seen.has(10)), { timeout: 10_000 }).toBe(true)
  await expect.poll(() => host.load('bad').then(() => processes(host)), { timeout: 10_000 }).toBe(1)
})

function processes(host: PluginHost): number {
  return (
    host.samples().find(({ name, labels }) => name.endsWith('_processes') && labels['scheme'] === 'bad')?.value ?? 0
  )
}
