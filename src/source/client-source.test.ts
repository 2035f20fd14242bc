import { Readable } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { Failure } from '#core'
import { sourceFromClient } from './client-source.ts'
import type { ResourceClient, SourceRequest, SourceResponse } from './contract.ts'
import { X_DRAGONFLY_RANGE } from './contract.ts'
import { newResponse } from './response.ts'
import { denied, notFound, SourceError, unexpectedStatus } from './source-error.ts'
import type { ReadOptions, Source } from './source.ts'
import { testSink } from './test-sink.ts'

const URL = 'd7yfs://user:secret@host:56001/path?token=t0p'
const request = { url: URL, headers: {} }
const { signal } = new AbortController()
const hello = Buffer.from('hello world')

function plugin(client: ResourceClient): Source & { warnings: string[] } {
  const warnings: string[] = []
  const warn = (message: string): void => void warnings.push(message)
  return { ...sourceFromClient(client, { scheme: 'd7yfs', inTree: false, warn }), warnings }
}

async function read(response: unknown, options: Partial<ReadOptions> = {}): Promise<string> {
  const sink = testSink()
  await plugin({ download: async () => response as SourceResponse }).read(request, sink, { signal, ...options })
  return sink.bytes.toString()
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  )
  if (!(error instanceof Failure)) throw error
  return error
}

test('a plain object, a Uint8Array, a node stream and a web stream are bodies', async () => {
  expect(await read({ body: new Uint8Array(hello) })).toBe('hello world')
  expect(await read(newResponse(Readable.from([hello.subarray(0, 4), hello.subarray(4)])))).toBe('hello world')
  expect(await read({ body: new Blob([hello]).stream(), contentLength: 11 })).toBe('hello world')
  expect(await read({ body: Readable.from([]), contentLength: 0 })).toBe('')
})

// G1 row 9: a status that is no success never becomes a file.
test('a status other than 200 and 206 is a failure, never a file', async () => {
  const body = 'no such page'
  for (const [status, code] of [
    [404, 'source.not_found'],
    [403, 'source.denied'],
    [503, 'source.unreachable'],
    [204, 'source.broken'],
    [206, 'source.broken'],
  ] as const) {
    const failure = await failureOf(read({ status, body: Readable.from([Buffer.from(body)]) }))
    expect(failure).toMatchObject({ code })
    expect(failure.message).toContain(String(status))
  }
})

test('a body that is shorter or longer than announced is source.broken', async () => {
  const short = await failureOf(read({ body: Readable.from([hello]), contentLength: 12 }))
  expect(short).toMatchObject({ code: 'source.broken', message: expect.stringContaining('ended after 11 of 12 bytes') })
  const long = await failureOf(read({ body: Readable.from([hello]), contentLength: 10 }))
  expect(long).toMatchObject({ code: 'source.broken', message: expect.stringContaining('more than the 10 bytes') })
  expect(await failureOf(read({ body: new Uint8Array(hello), contentLength: 10 }))).toMatchObject({
    code: 'source.broken',
  })
})

test('a body too long is found out also when the sink is full by then', async () => {
  const client = { download: async () => ({ body: Readable.from([hello, hello]), contentLength: 11 }) }
  const reading = plugin(client).read(request, testSink({ capacity: 11 }), { signal })
  expect(await failureOf(reading)).toMatchObject({ code: 'source.broken' })
})

test('what a response is made of wrongly is told by name', async () => {
  for (const [response, words] of [
    [undefined, 'no response'],
    [{}, 'no body'],
    [{ body: 'text' }, 'body is a string'],
    [{ body: { read: true } }, 'body is an object'],
    [{ body: Readable.from(['text']) }, 'chunk of the body is a string'],
    [{ body: Readable.from([{ a: 1 }]) }, 'chunk of the body is an object'],
    [{ body: hello, status: '200' }, 'status is a string'],
    [{ body: Readable.from([hello]), contentLength: 1.5 }, 'contentLength is 1.5'],
    [{ body: Readable.from([hello]), contentLength: 2 ** 60 }, 'contentLength is 1152921504606847000'],
    [{ body: Readable.from([hello]), contentLength: '11' }, 'contentLength is a string'],
  ] as const) {
    const failure = await failureOf(read(response))
    expect(failure.code).toBe('source.broken')
    expect(failure.message).toContain(words)
    expect(failure.message).toContain('plugin d7yfs')
  }
})

test('a range is believed only with 206, or with its exact contentLength', async () => {
  const range = { start: 6, end: 10 }
  const world = hello.subarray(6)
  expect(await read({ body: Readable.from([world]), status: 206 }, { range })).toBe('world')
  expect(await read({ body: new Uint8Array(world) }, { range })).toBe('world')
  expect(await read({ body: Readable.from([world]), contentLength: 5 }, { range })).toBe('world')
  for (const [response, code] of [
    [{ body: Readable.from([hello]) }, 'source.not_supported'],
    [{ body: Readable.from([hello]), contentLength: 11 }, 'source.not_supported'],
    [{ body: new Uint8Array(hello) }, 'source.not_supported'],
    [{ body: Readable.from([world]), status: 206, contentLength: 6 }, 'source.broken'],
    [{ body: new Uint8Array(world), status: 206, headers: { 'Content-Range': 'bytes 0-4/11' } }, 'source.broken'],
    [{ body: new Uint8Array(world), status: 206, headers: { 'Content-Range': 'lines 6-10' } }, 'source.broken'],
  ] as const) {
    const sink = testSink()
    const reading = plugin({ download: async () => response }).read(request, sink, { signal, range })
    expect(await failureOf(reading)).toMatchObject({ code })
    expect(sink.bytes.length).toBe(0)
  }
  expect(await failureOf(read({ body: Readable.from([hello]), status: 206 }, { range }))).toMatchObject({
    code: 'source.broken',
  })
})

test('another version than the wanted one is source.changed, before any byte', async () => {
  const sink = testSink()
  const client = { download: async () => ({ body: hello, expireInfo: { etag: '"b"' } }) }
  const reading = plugin(client).read(request, sink, { signal, ifMatch: { etag: '"a"' } })
  expect(await failureOf(reading)).toMatchObject({ code: 'source.changed' })
  expect(sink.bytes.length).toBe(0)
  expect(await read({ body: hello }, { ifMatch: { etag: '"a"' } })).toBe('hello world')
  const headers = { 'X-Dragonfly-ETag': '"b"' } // as Dragonfly's own clients write it
  expect(await failureOf(read({ body: hello, headers }, { ifMatch: { etag: '"a"' } }))).toMatchObject({
    code: 'source.changed',
  })
})

test('a plugin sees lower-case headers, the typed range, and the raw range under both its names', async () => {
  let seen: SourceRequest | undefined
  const client: ResourceClient = {
    download: async (request) => {
      seen = request
      return { body: hello.subarray(0, 5), status: 206 }
    },
  }
  await plugin(client).read({ url: URL, headers: { Accept: 'x' } }, testSink(), { signal, range: { start: 0, end: 4 } })
  expect(seen).toMatchObject({ url: URL, range: { start: 0, end: 4 } })
  expect(seen?.headers[X_DRAGONFLY_RANGE]).toBe('0-4')
  expect(Object.entries(seen?.headers ?? {})).toEqual([
    ['accept', 'x'],
    ['x-dragonfly-range', '0-4'],
  ])
})

test('errors of a plugin are known by their code, whatever their class', async () => {
  for (const [error, code] of [
    [notFound(URL), 'source.not_found'],
    [denied(URL), 'source.denied'],
    [Object.assign(new Error('own class'), { code: 'source.range_invalid' }), 'source.range_invalid'],
    [unexpectedStatus(503), 'source.unreachable'],
    [Object.assign(new Error('no such code'), { code: 'source.nonsense' }), 'source.broken'],
    [new TypeError('x is not a function'), 'source.broken'],
    ['a text', 'source.broken'],
    [undefined, 'source.broken'],
    [
      {
        get message(): string {
          throw new Error('evil')
        },
      },
      'source.broken',
    ],
  ] as const) {
    const client: ResourceClient = {
      download: () => {
        throw error
      },
    }
    expect(await failureOf(plugin(client).read(request, testSink(), { signal }))).toMatchObject({ code })
  }
})

test('messages name the plugin and the cause, and hold no secret, no stack and no second line', async () => {
  const client: ResourceClient = {
    download: async () => {
      throw new Error(`boom at ${URL}\n\u001b[31mred`)
    },
  }
  const failure = await failureOf(plugin(client).read(request, testSink(), { signal }))
  expect(failure.message).toBe(
    'plugin d7yfs failed on d7yfs://host:56001/path?token=***: boom at d7yfs://host:56001/path?token=*** [31mred',
  )
  expect(failure.cause).toBeUndefined()
})

// G1 row 11: the sample page leaves methods unimplemented; row 12: methods beyond the contract do no harm.
test('missing methods, and those that throw "implement me", cost one warning each and nothing else', async () => {
  const implementMe = async (): Promise<never> => {
    throw new Error('implement me')
  }
  const client = {
    getContentLength: async () => 11,
    isSupportRange: async () => false,
    isExpired: implementMe,
    getLastModified: implementMe,
    download: async () => ({ body: hello }),
    DownloadWithExpireInfo: () => {
      throw new Error('nobody may call this')
    },
  }
  const source = plugin(client)
  for (let round = 0; round < 3; round++) {
    expect(await source.describe(request, signal)).toMatchObject({
      contentLength: 11,
      supportsRange: false,
      expireInfo: {},
    })
    expect(await source.isExpired(request, { etag: '"a"' }, signal)).toBe(false)
  }
  expect(source.warnings).toHaveLength(2)
  expect(source.warnings.join()).toMatch(/getLastModified.*isExpired/)

  const bare = plugin({ download: async () => ({ body: hello }) })
  expect(await bare.describe(request, signal)).toMatchObject({ contentLength: undefined, supportsRange: false })
  expect(await bare.isExpired(request, {}, signal)).toBe(false)
})

// G1 row 6: −2 stands for a length that cannot be told.
test('−2 and −1 are unknown lengths, other nonsense is source.broken', async () => {
  for (const length of [-2, -1]) {
    const source = plugin({ getContentLength: async () => length, download: async () => ({ body: hello }) })
    expect((await source.describe(request, signal)).contentLength).toBeUndefined()
  }
  for (const length of [-3, 1.5, Number.NaN, 2 ** 54, '11' as unknown as number]) {
    const source = plugin({ getContentLength: async () => length, download: async () => ({ body: hello }) })
    expect(await failureOf(source.describe(request, signal))).toMatchObject({ code: 'source.broken' })
  }
})

// G1 row 10: milliseconds in, HTTP's date out.
test('the last modification comes in milliseconds and becomes a validator', async () => {
  const client = {
    getLastModified: async () => Date.UTC(2006, 0, 2, 15, 4, 5),
    download: async () => ({ body: hello }),
  }
  const { expireInfo } = await plugin(client).describe(request, signal)
  expect(expireInfo).toEqual({ lastModified: 'Mon, 02 Jan 2006 15:04:05 GMT' })
})

// G1 row 8: a failure counts as fresh, with a warning.
test('isExpired never throws: a failure is a warning and a "no"', async () => {
  const source = plugin({
    isExpired: async () => {
      throw new SourceError('source.unreachable', 'origin is down')
    },
    download: async () => ({ body: hello }),
  })
  expect(await source.isExpired(request, { etag: '"a"' }, signal)).toBe(false)
  expect(source.warnings).toEqual([expect.stringContaining('origin is down')])
})

test('stat answers everything at once, and nothing else is asked', async () => {
  const getContentLength = vi.fn()
  const source = plugin({
    stat: async () => ({
      contentLength: 5,
      supportsRange: undefined,
      expireInfo: { etag: '"x"' },
      headers: { 'X-A': 'b' },
    }),
    getContentLength,
    download: async () => ({ body: hello }),
  })
  expect(await source.describe(request, signal)).toEqual({
    contentLength: 5,
    supportsRange: undefined,
    expireInfo: { etag: '"x"' },
    headers: { 'x-a': 'b' },
  })
  expect(getContentLength).not.toHaveBeenCalled()
  expect(source.warnings).toEqual([])
})

test('an abort ends a read at once, also of a plugin that never listens', async () => {
  const abort = new AbortController()
  const never = new Promise<never>(() => undefined)
  const silent: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({ next: () => never, return: () => never }),
  }
  for (const client of [{ download: () => never }, { download: async () => ({ body: silent }) }]) {
    const reading = plugin(client).read(request, testSink(), { signal: abort.signal })
    setTimeout(() => abort.abort(), 10)
    expect(await failureOf(reading)).toMatchObject({ code: 'download.cancelled' })
  }
})

test('a read that fails aborts the signal that the plugin was given', async () => {
  let given: AbortSignal | undefined
  const client: ResourceClient = {
    download: async ({ signal }) => {
      given = signal
      return { body: Readable.from(['not bytes']) }
    },
  }
  await failureOf(plugin(client).read(request, testSink(), { signal }))
  expect(given?.aborted).toBe(true)
  expect(signal.aborted).toBe(false)
})

test('what the sink throws is passed on as it is', async () => {
  const corrupt = new Failure('piece.corrupt', 'not what was expected')
  const sink = {
    ...testSink(),
    filled: () => {
      throw corrupt
    },
  }
  const client = { download: async () => ({ body: Readable.from([hello]) }) }
  expect(await failureOf(plugin(client).read(request, sink, { signal }))).toBe(corrupt)
})

test('a body is pulled: no chunk is made before the sink took the last one', async () => {
  let made = 0
  async function* body(): AsyncGenerator<Uint8Array> {
    for (; made < 100; made++) yield new Uint8Array(64 * 1024)
  }
  let resume: () => void = () => undefined
  const sink = {
    ...testSink(),
    filled: () => false,
    drained: () => new Promise<void>((resolve) => (resume = resolve)),
  }
  const abort = new AbortController()
  const reading = plugin({ download: async () => ({ body: body() }) }).read(request, sink, { signal: abort.signal })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(made).toBe(0)
  resume()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(made).toBe(1)
  abort.abort()
  await failureOf(reading)
})

test('a sink that is full early ends the read well, and the body is let go', async () => {
  let closed = false
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield hello
    } finally {
      closed = true
    }
  }
  const sink = testSink({ capacity: 16 })
  const result = await plugin({ download: async () => ({ body: body(), contentLength: 99 }) }).read(request, sink, {
    signal,
  })
  expect(result.bytes).toBe(16)
  await vi.waitFor(() => expect(closed).toBe(true))
})

test('a body of no announced length must end where the sink is full', async () => {
  const bodies = [[Buffer.from('hello world!')], [hello, Buffer.alloc(0), Buffer.from('!')]]
  for (const chunks of bodies) {
    const client = { download: async () => ({ body: Readable.from(chunks) }) }
    const failure = await failureOf(plugin(client).read(request, testSink({ capacity: 11 }), { signal }))
    expect(failure).toMatchObject({ code: 'source.broken', message: expect.stringContaining('more than 11 bytes') })
  }
  const client = { download: async () => ({ body: Readable.from([hello, Buffer.alloc(0)]) }) }
  const { bytes } = await plugin(client).read(request, testSink({ capacity: 11 }), { signal })
  expect(bytes).toBe(11)
})

test('the last byte of a known length is given only when nothing follows', async () => {
  for (const chunks of [
    [hello, hello],
    [hello.subarray(0, 10), hello.subarray(10), hello],
  ]) {
    for (const [contentLength, wholeBytes] of [
      [11, 11],
      [-1, 11],
    ] as const) {
      const sink = testSink({ capacity: 11 })
      const client = { download: async () => ({ body: Readable.from(chunks), contentLength }) }
      const failure = await failureOf(plugin(client).read(request, sink, { signal, wholeBytes }))
      expect(failure).toMatchObject({ code: 'source.broken', message: expect.stringContaining('the 11 bytes') })
      expect(sink.bytes.toString()).toBe('hello worl')
    }
  }
  expect(await read({ body: Readable.from([hello]) }, { wholeBytes: 11 })).toBe('hello world')
  expect(await failureOf(read({ body: Readable.from([hello]) }, { wholeBytes: 12 }))).toMatchObject({
    code: 'source.broken',
    message: expect.stringContaining('ended after 11 of 12 bytes'),
  })
})

test('endless empty chunks are source.broken', async () => {
  async function* empty(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 100_000; i++) yield Buffer.alloc(0)
  }
  const failure = await failureOf(read({ body: empty() }))
  expect(failure).toMatchObject({ code: 'source.broken', message: expect.stringContaining('empty chunks in a row') })
})

test('a body that never waits for anything, in chunks of one byte, lets timers run and can be stopped', async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 300_000; i++) yield Buffer.alloc(1)
  }
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 5)
  expect(await failureOf(read({ body: endless() }, { signal: abort.signal }))).toMatchObject({
    code: 'download.cancelled',
  })
})
