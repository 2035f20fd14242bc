import { createHash } from 'node:crypto'
import { AssertionError } from 'node:assert'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { Failure } from '#core'
import { CONTRACT_CHECKS, notFound, type ResourceClient, SourceError, type SourceRequest } from '#source'
import { runChange } from './run-change.ts'
import { tryPlugin, type TryOrder } from './try-plugin.ts'
import { reasonOf, type Row } from './verdict.ts'

// The table has to find out who breaks the contract. Each liar below lies once.

const GiB = 2 ** 30
const MiB = 2 ** 20
const CONTENT = Buffer.from(Uint8Array.from({ length: 10_000 }, (_, at) => (at * at) % 251))
const HUGE = 'x://host/huge'

interface Origin {
  version: number
}

/** Reads what a real one could: with ranges, validators, a listing, something huge, something forbidden. */
function honestClient(origin: Origin = { version: 1 }): Required<ResourceClient> {
  const contentOf = (url: string): Buffer => {
    const path = decodeURI(new URL(url).pathname)
    if (path === '/denied') throw new SourceError('source.denied', 'no entry')
    if (path === '/empty') return Buffer.alloc(0)
    if (path === '/ü') return Buffer.from('u')
    if (path === '/file') return CONTENT
    throw notFound(url)
  }
  const sizeOf = (url: string): number => (url === HUGE ? GiB : contentOf(url).length)
  const expireInfo = () => ({
    etag: `"${origin.version}"`,
    lastModified: new Date(origin.version * 1e12).toUTCString(),
  })
  return {
    getContentLength: async ({ url }) => sizeOf(url),
    isSupportRange: async () => true,
    isExpired: async (_request, info) => info.etag !== expireInfo().etag,
    getLastModified: async () => origin.version * 1e12,
    stat: async ({ url }) => ({
      contentLength: sizeOf(url),
      supportsRange: true,
      expireInfo: expireInfo(),
      headers: {},
    }),
    async download({ url, range }) {
      if (url === HUGE) return { body: Readable.from(zeros()), contentLength: GiB }
      const content = contentOf(url)
      const body = range === undefined ? content : content.subarray(range.start, range.end + 1)
      const status = range === undefined ? 200 : 206
      return { body: Readable.from([body]), status, contentLength: body.length, expireInfo: expireInfo() }
    },
    async *list() {
      yield { url: 'x://host/file', name: 'file', isDirectory: false }
    },
  }
}

function* zeros(): Generator<Uint8Array> {
  const chunk = Buffer.alloc(MiB)
  for (let sent = 0; sent < GiB; sent += MiB) yield chunk
}

function orderOf(changes: Partial<TryOrder> = {}): TryOrder {
  const urls = {
    deniedUrl: 'x://host/denied',
    emptyUrl: 'x://host/empty',
    unicodeUrl: 'x://host/ü',
    listUrl: 'x://host/',
  }
  return { url: 'x://host/file', content: CONTENT, ...urls, headers: {}, timeoutMs: 20_000, ...changes }
}

/** The rows that a client gets; its memory is that of this process. */
async function rowsOf(client: ResourceClient, order = orderOf()): Promise<readonly Row[]> {
  const dispose = (): Promise<void> => Promise.resolve()
  const plugin = { client, pid: process.pid, scheme: 'x', name: 'plugin x', [Symbol.asyncDispose]: dispose }
  return (await tryPlugin(async () => plugin, order)).rows
}

function those(rows: readonly Row[], wanted: Row['verdict']): string[] {
  return rows.filter(({ verdict }) => verdict === wanted).map(({ check, detail }) => `${check}: ${detail}`)
}

test('an honest client passes everything; what is not given is not tried, and its flag is named', async () => {
  const rows = await rowsOf(honestClient(), orderOf({ hugeUrl: HUGE }))
  expect(those(rows, 'failed')).toEqual([])
  expect(those(rows, 'not supported')).toEqual([])
  expect(those(rows, 'not tried')).toEqual(['says that a resource which changed is another version: give --change'])
  const few = await rowsOf(honestClient(), { url: 'x://host/file', headers: {}, timeoutMs: 20_000 })
  expect(those(few, 'failed')).toEqual([])
  const flags = those(few, 'not tried').map((line) => line.match(/--[a-z]+(-url)?/)?.[0])
  expect(flags).toEqual([
    '--list-url',
    '--denied-url',
    '--empty-url',
    '--unicode-url',
    '--huge-url',
    '--huge-url',
    '--change',
  ])
})

test('every check of the contract suite has its row', async () => {
  const names = (await rowsOf(honestClient())).map(({ check }) => check)
  expect(new Set(names).size).toBe(names.length)
  for (const check of Object.keys(CONTRACT_CHECKS)) expect(names).toContain(check)
})

test('a client with nothing but download lacks abilities, and breaks no promise', async () => {
  const { download } = honestClient()
  const rows = await rowsOf({ download })
  expect(those(rows, 'failed')).toEqual([])
  expect(those(rows, 'not supported').map((line) => line.replace(/:.*/, ''))).toEqual([
    'tells the length, or that it is unknown',
    'gives exactly the range asked for, where it supports ranges',
    'says that what it has just described is the same version',
    'gives the last modification in milliseconds',
    'lists one level, entry by entry',
    'goes on where a read broke off',
  ])
})

const honest = honestClient()
const page = (request: SourceRequest) => honest.download({ ...request, url: 'x://host/file' })
const only =
  (path: string, lie: ResourceClient['download']): ResourceClient['download'] =>
  (request) =>
    decodeURI(request.url) === `x://host/${path}` ? lie(request) : honest.download(request)

const LIARS: Record<string, [lie: Partial<ResourceClient>, row: RegExp]> = {
  'gives other bytes': [
    { download: only('file', async () => ({ body: Buffer.from(CONTENT).fill(255, 9, 10) })) },
    /^reads the whole resource, as a host does: it has 10000 bytes, --content has 10000; they differ at byte 9$/,
  ],
  'says a wrong length': [
    { stat: async (request) => ({ ...(await honest.stat(request)), contentLength: 9999 }) },
    /^reads the whole resource, as a host does: /,
  ],
  'gives a page for what is not there': [
    { download: async (request) => page(request) },
    /^says source\.not_found .*nothing was thrown by download/,
  ],
  'gives what is forbidden': [
    { download: only('denied', page) },
    /^says source\.denied for what is forbidden: got 10000 bytes/,
  ],
  'has no word for what is forbidden': [
    { download: only('denied', async () => Promise.reject(new Error('403'))) },
    /^says source\.denied .*: got source\.broken, expected source\.denied$/,
  ],
  'fills what is empty': [{ download: only('empty', page) }, /^gives an empty resource as one without a byte: /],
  'knows only one way to write a path': [
    {
      download: only('ü', async (request) =>
        request.url.includes('%') ? honest.download(request) : Promise.reject(notFound('x:y')),
      ),
    },
    /^reads a path beyond ASCII.*: source\.not_found: /,
  ],
  'forgets where a range begins': [
    {
      download: (request) =>
        honest.download(
          request.range
            ? { ...request, range: { ...request.range, start: 0, end: request.range.end - request.range.start } }
            : request,
        ),
    },
    /^goes on where a read broke off: cut at byte 5000; the bytes differ from byte 50\d\d on$/,
  ],
  'lists paths': [
    {
      async *list() {
        yield { url: 'x://host/a/b', name: 'a/b', isDirectory: false }
      },
    },
    /^lists one level, entry by entry: "a\/b" is no name/,
  ],
}

for (const [what, [lie, row]] of Object.entries(LIARS)) {
  test(`a client that ${what} is found out`, { timeout: 60_000 }, async () => {
    const rows = await rowsOf({ ...honest, ...lie })
    expect(those(rows, 'failed').filter((line) => row.test(line))).toHaveLength(1)
  })
}

test('a client that never answers fails within the time of each check, and the table goes on', async () => {
  const never = (): Promise<never> => new Promise(() => undefined)
  const rows = await rowsOf({ ...honest, stat: never, download: only('denied', never) }, orderOf({ timeoutMs: 200 }))
  const failed = those(rows, 'failed')
  expect(failed).toContain('reads the whole resource, as a host does: it did not end within 0.2 s')
  expect(failed).toContain('says source.denied for what is forbidden: it did not end within 0.2 s')
  expect(failed).toContain('answers within the time that hosts give it: it did not end within 0.2 s')
  expect(those(rows, 'passed').map((line) => line.replace(/:.*/, ''))).toContain('lists one level, entry by entry')
})

test('a change that nothing tells of is found out, and one that is told passes', async () => {
  const order = orderOf({ change: 'true' })
  const failed = those(await rowsOf(honest, order), 'failed')
  expect(failed).toEqual([
    'says that a resource which changed is another version: isExpired after a change: got false, expected true',
  ])
  let asked = 0
  const changing: ResourceClient = {
    ...honest,
    // As if the command had changed it: the version is another one once its row is reached.
    stat: (request) => honestClient({ version: ++asked }).stat(request),
    isExpired: async () => true,
  }
  const rows = await rowsOf(changing, order)
  expect(rows.at(-1)).toMatchObject({
    check: 'says that a resource which changed is another version',
    verdict: 'passed',
  })
})

test('a command of --change that fails is told with its words', async () => {
  await expect(runChange('echo no such bucket >&2; exit 4', 5000)).rejects.toThrow(
    'the command of --change ended with 4: no such bucket',
  )
  await expect(runChange('sleep 60', 100)).rejects.toThrow('the command of --change did not end within 0.1 s')
  await runChange('true', 5000)
})

test('the digest is compared, and says what it was', async () => {
  const sha256 = createHash('sha256').update(CONTENT).digest('hex')
  const { content: _, ...order } = orderOf()
  expect(those(await rowsOf(honest, { ...order, digest: `sha256:${sha256}` }), 'failed')).toEqual([])
  const [first] = await rowsOf(honest, { ...order, digest: `sha256:${'0'.repeat(64)}` })
  expect(first).toMatchObject({ verdict: 'failed', detail: `its sha256 is ${sha256}, expected ${'0'.repeat(64)}` })
})

test('a resource that is too large to be compared is a slip, not a failure of the plugin', async () => {
  await expect(rowsOf(honest, orderOf({ url: HUGE }))).rejects.toMatchObject({
    code: 'usage.invalid',
    message: expect.stringMatching(/name one of less than 256\.0 MiB with --url, and this one with --huge-url/),
  })
})

test('a reason is one line with what was seen', () => {
  expect(reasonOf(new AssertionError({ actual: 5, expected: 6, operator: 'strictEqual' }))).toBe('got 5, expected 6')
  expect(
    reasonOf(new AssertionError({ message: 'isExpired', actual: 'a', expected: true, operator: 'strictEqual' })),
  ).toBe('isExpired: got a, expected true')
  expect(reasonOf(new Failure('source.denied', 'no\nentry'))).toBe('source.denied: no entry')
  expect(reasonOf('x'.repeat(1000))).toHaveLength(401)
})
