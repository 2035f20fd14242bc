// What a plugin in a process of its own must do as well as a source of ours: the contract, and what it tells of itself.
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { bytesOf, startNginx, type TempDir, tempDir } from '#devnet'
import { createPluginHost, pluginMetrics, type PluginHost, pluginPolicySettings } from '#plugin'
import { type SourceFixture, testSource } from '../../src/source/testing.ts'

const exporter = new InMemorySpanExporter()
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
afterAll(() => trace.disable())

/** A plugin as an author would write it, with what Node has: `mirror://host:port/path` is read over http. */
const MIRROR = `
const httpUrl = (url) => url.replace(/^mirror:/, 'http:')
async function ask(method, { url, range, signal }) {
  const headers = { 'accept-encoding': 'identity', ...(range && { range: \`bytes=\${range.start}-\${range.end}\` }) }
  const response = await fetch(httpUrl(url), { method, headers, signal })
  if (response.ok) return response
  const code = response.status === 404 ? 'source.not_found' : 'source.unreachable'
  throw Object.assign(new Error('status ' + response.status), { code })
}
const lengthOf = (response) => Number(response.headers.get('content-length') ?? -1)
const infoOf = ({ headers }) => ({ etag: headers.get('etag') ?? '', lastModified: headers.get('last-modified') ?? '' })
const client = {
  async stat(request) {
    const response = await ask('HEAD', request)
    const contentLength = lengthOf(response)
    return { contentLength, supportsRange: contentLength > 0, expireInfo: infoOf(response), headers: {} }
  },
  getContentLength: async (request) => lengthOf(await ask('HEAD', request)),
  isSupportRange: async (request) => (await ask('HEAD', request)).status === 206,
  isExpired: async (request, info) => infoOf(await ask('HEAD', request)).etag !== info.etag,
  getLastModified: async (request) => Date.parse(infoOf(await ask('HEAD', request)).lastModified),
  async download(request) {
    const response = await ask('GET', request)
    const { status, body } = response
    return { body: body ?? new Uint8Array(), status, contentLength: lengthOf(response), expireInfo: infoOf(response) }
  },
  async *list({ url }) {
    for (const name of ['a', 'b c', 'ü']) yield { url: url + encodeURIComponent(name), name, isDirectory: false }
  },
}
export const DragonflyPluginInit = () => ({
  client,
  metadata: { type: 'resource', name: 'mirror', scheme: 'mirror', apiVersion: '^1.0.0' },
})
`

async function hostWith(dir: TempDir): Promise<PluginHost> {
  await mkdir(dir.join('plugins'))
  await writeFile(dir.join('plugins/d7y-resource-plugin-mirror.mjs'), MIRROR)
  const policy = resolveSettings(pluginPolicySettings, [])
  const dirs = [{ path: dir.join('plugins'), given: true }]
  return createPluginHost({ dirs, options: {}, policy, warn: (message) => expect.fail(message) })
}

async function fixture(content: Uint8Array): Promise<SourceFixture> {
  const dir = await tempDir('apart')
  const nginx = await startNginx({ files: { f: content } })
  const host = await hostWith(dir)
  const plugin = await host.load('mirror')
  if (plugin === undefined) throw new Error('there is no plugin')
  return {
    client: plugin.client,
    url: nginx.url('f').replace(/^http:/, 'mirror:'),
    missingUrl: nginx.url('no').replace(/^http:/, 'mirror:'),
    content,
    ranges: true,
    listing: { url: 'mirror://host/', names: ['a', 'b c', 'ü'] },
    async change() {
      await writeFile(dir.join('new'), Buffer.concat([content, Buffer.from('!')]))
      await rename(dir.join('new'), join(nginx.root, 'f'))
    },
    async close() {
      await host[Symbol.asyncDispose]()
      await nginx[Symbol.asyncDispose]()
      await dir[Symbol.asyncDispose]()
    },
  }
}

testSource('a plugin apart, with some bytes,', () => fixture(Buffer.from('hello world')), { test })
testSource('a plugin apart, with 40 MiB,', () => fixture(bytesOf({ size: 40 * 2 ** 20, seed: 7 })), { test })

test('each call is counted by scheme, method and how it ended, and is a span of a trace', async () => {
  await using dir = await tempDir('apart')
  await using nginx = await startNginx({ files: { f: Buffer.from('hello world') } })
  await using host = await hostWith(dir)
  const plugin = await host.load('mirror')
  const request = (name: string) => ({
    url: nginx.url(name).replace(/^http:/, 'mirror:'),
    headers: {},
    signal: AbortSignal.timeout(10_000),
  })
  exporter.reset()
  await plugin?.client.getContentLength?.(request('f'))
  await plugin?.client.getContentLength?.(request('no')).catch(() => undefined)
  const response = await plugin?.client.download(request('f'))
  const chunks: Uint8Array[] = []
  for await (const chunk of (response?.body ?? []) as AsyncIterable<Uint8Array>) chunks.push(chunk)
  expect(Buffer.concat(chunks).toString()).toBe('hello world')

  const samples = host.samples()
  const value = (name: keyof typeof pluginMetrics, labels: Record<string, string>): number | undefined =>
    samples.find((sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels))?.value
  const calls = 'dragonfly_plugin_calls_total'
  expect(value(calls, { scheme: 'mirror', method: 'getContentLength', code: 'ok' })).toBe(1)
  expect(value(calls, { scheme: 'mirror', method: 'getContentLength', code: 'source.not_found' })).toBe(1)
  expect(value(calls, { scheme: 'mirror', method: 'download', code: 'ok' })).toBe(1)
  expect(value('dragonfly_plugin_bytes_total', { scheme: 'mirror' })).toBe(11)
  expect(value('dragonfly_plugin_seconds_total', { scheme: 'mirror', method: 'download' })).toBeGreaterThan(0)
  expect(samples.filter(({ name }) => !(name in pluginMetrics))).toEqual([])
  const spans = exporter.getFinishedSpans().map(({ name, status, attributes }) => {
    return [name, status.message ?? 'ok', attributes['dragonfly.plugin.bytes']]
  })
  expect(spans).toEqual([
    ['plugin mirror getContentLength', 'ok', undefined],
    ['plugin mirror getContentLength', 'source.not_found', undefined],
    ['plugin mirror download', 'ok', 11],
  ])
})
