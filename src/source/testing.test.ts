import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import type { ResourceClient, SourceRequest } from './contract.ts'
import { notFound } from './source-error.ts'
import { type SourceFixture, testSource } from './testing.ts'

// The suite has to find out who breaks the contract. Each liar below lies once.

const content = Buffer.from('0123456789')
const url = 'x://host/file'

const honest: ResourceClient = {
  getContentLength: async ({ url }) => {
    if (url.endsWith('missing')) throw notFound(url)
    return content.length
  },
  isSupportRange: async () => true,
  isExpired: async (_request, { etag }) => etag !== '"1"',
  getLastModified: async () => Date.UTC(2026, 0, 1),
  download: async ({ url, range }) => {
    if (url.endsWith('missing')) throw notFound(url)
    const body = range === undefined ? content : content.subarray(range.start, range.end + 1)
    return {
      body: Readable.from([body]),
      status: range === undefined ? 200 : 206,
      contentLength: body.length,
      expireInfo: { etag: '"1"', lastModified: new Date(Date.UTC(2026, 0, 1)).toUTCString() },
    }
  },
  async *list() {
    yield { url: `${url}/a`, name: 'a', isDirectory: false }
  },
}

const download: ResourceClient['download'] = (request) => honest.download(request)

/** Names of the checks that fail. */
async function failed(client: ResourceClient, more: Partial<SourceFixture> = {}): Promise<string[]> {
  const checks: [name: string, run: () => Promise<void>][] = []
  const listing = { url, names: ['a'] }
  testSource('x', () => ({ client, url, content, missingUrl: 'x://host/missing', listing, ...more }), {
    test: (name, run) => checks.push([name, run]),
  })
  const names: string[] = []
  for (const [name, run] of checks) await run().catch(() => names.push(name))
  return names
}

test('an honest client passes', async () => {
  expect(await failed(honest, { ranges: true })).toEqual([])
})

test('a client with nothing but download passes, and so does one that is not implemented yet', async () => {
  const implementMe = (): never => {
    throw new Error('implement me')
  }
  expect(await failed({ download })).toEqual([])
  expect(
    await failed({ download, getContentLength: implementMe, isExpired: implementMe, getLastModified: implementMe }),
  ).toEqual([])
})

const LIARS: Record<string, [Partial<ResourceClient>, RegExp]> = {
  'gives other bytes': [
    {
      download: async (request) => ({ ...(await download(request)), body: Readable.from([Buffer.from('987654321x')]) }),
    },
    /exactly the bytes/,
  ],
  'says a wrong length': [{ getContentLength: async () => 11 }, /length|not_found/],
  'announces another length': [
    { download: async (request) => ({ ...(await download(request)), contentLength: 9 }) },
    /announces/,
  ],
  'gives a page for what is not there': [{ download: async () => ({ body: content }) }, /not_found/],
  'ignores ranges': [
    { download: ({ url, headers, signal }: SourceRequest) => download({ url, headers, signal }) },
    /range/,
  ],
  'gives one byte too many': [
    {
      download: async (request) =>
        download(
          request.range === undefined
            ? request
            : { ...request, range: { ...request.range, end: request.range.end + 1 } },
        ),
    },
    /range/,
  ],
  'gives texts': [
    {
      download: async (request) => ({
        ...(await download(request)),
        body: Readable.from(['0123456789']) as AsyncIterable<Uint8Array>,
      }),
    },
    /bytes/,
  ],
  'always expires': [{ isExpired: async () => true }, /same version/],
  'gives seconds': [{ getLastModified: async () => Date.UTC(2026, 0, 1) / 1000 }, /milliseconds/],
  'lists nothing': [{ async *list() {} }, /lists/],
}

for (const [what, [lie, found]] of Object.entries(LIARS)) {
  test(`a client that ${what} is found out`, async () => {
    const names = await failed({ ...honest, ...lie })
    expect(names.length).toBeGreaterThan(0)
    expect(names.join('\n')).toMatch(found)
  })
}

test('a client that claims ranges it was said not to have is found out', async () => {
  expect((await failed(honest, { ranges: false })).join()).toMatch(/honest about ranges/)
})
