import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ResourceClient, SourceRequest } from '#source'
import { BROKEN_PLUGINS } from './broken-plugins.ts'
import { bodyText, bundledHost, dirWith } from './test-host.ts'

const { createPluginLoader } = await bundledHost()
const guide = await readFile(join(import.meta.dirname, '../../docs/plugins.md'), 'utf8')

/** The plugins of the guide, as a reader would save them. */
const plugins: Readonly<Record<string, string>> = Object.fromEntries(
  [...guide.matchAll(/^```js\n\/\/ (d7y-\S+)\n(.*?)^```$/gms)].map(([, name = '', text = '']) => [name, text]),
)

async function clientOf(scheme: string, options = {}): Promise<ResourceClient> {
  const dirs = [{ path: await dirWith(plugins), given: true }]
  const plugin = await createPluginLoader({ dirs, options, warn: () => undefined }).load(scheme)
  if (plugin === undefined) throw new Error(`the guide has no plugin for ${scheme}`)
  return plugin.client
}

function request(url: string, range?: SourceRequest['range']): SourceRequest {
  return { url, headers: {}, signal: AbortSignal.timeout(10_000), ...(range === undefined ? {} : { range }) }
}

test('the first plugin of the guide works as it stands, and is short', async () => {
  expect(plugins['d7y-resource-plugin-hello.mjs']?.trim().split('\n').length).toBeLessThanOrEqual(15)
  const client = await clientOf('hello')
  expect(await client.getContentLength?.(request('hello://world/'))).toBe(11)
  expect(await bodyText(client, request('hello://world/'))).toBe('hello world')
  const polite = await clientOf('hello', { hello: { greeting: 'good day' } })
  expect(await bodyText(polite, request('hello://world/'))).toBe('good day world')
})

test('the second plugin of the guide reads a real server, ranges and errors included', async () => {
  const origin = await serve('0123456789')
  const client = await clientOf('mirror', { mirror: { origin } })
  const whole = request('mirror://any/file')
  expect(await bodyText(client, whole)).toBe('0123456789')
  expect(await bodyText(client, request(whole.url, { start: 2, end: 4 }))).toBe('234')
  expect(await client.getContentLength?.(whole)).toBe(10)
  expect(await client.isSupportRange?.(request(whole.url, { start: 0, end: 0 }))).toBe(true)
  expect(await client.getLastModified?.(whole)).toBe(784111777000)
  expect(await client.isExpired?.(whole, { etag: '"1"' })).toBe(false)
  expect(await client.isExpired?.(whole, { etag: '"0"' })).toBe(true)
  await expect(client.download(request('mirror://any/missing'))).rejects.toMatchObject({ code: 'source.not_found' })
})

test('a plugin of the guide without its option says which one is missing', async () => {
  await expect(clientOf('mirror')).rejects.toThrow('DragonflyPluginInit failed: plugins.mirror.origin is missing')
})

test('the guide names the reason of every failure that can be foreseen', () => {
  const table = guide.slice(guide.indexOf('| reason | what to do |'))
  const cells = [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`(.+?)`/g)])
  const known = cells.map(([, words = '']) => words.split(/KEY|…|10 s/).map((part) => part.trim()))
  const unknown = BROKEN_PLUGINS.map(([, , reason]) => reason).filter(
    (reason) => !known.some((parts) => parts.every((part) => reason.includes(part))),
  )
  expect(unknown).toEqual([])
})

/** An origin with one file. */
async function serve(content: string): Promise<string> {
  const server = createServer((request, response) => {
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const part = start === undefined ? content : content.slice(Number(start), Number(end) + 1)
    response.setHeader('content-length', part.length).setHeader('etag', '"1"')
    response.setHeader('last-modified', 'Sun, 06 Nov 1994 08:49:37 GMT')
    const status = request.url === '/file' ? (start === undefined ? 200 : 206) : 404
    response.writeHead(status).end(request.method === 'HEAD' ? undefined : part)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  onTestFinished(() => server.closeAllConnections())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}
