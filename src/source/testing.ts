import { deepStrictEqual, fail, ok, rejects, strictEqual } from 'node:assert/strict'
import { test as nodeTest } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeBody } from './close-body.ts'
import type { Entry, ExpireInfo, ResourceClient, SourceRequest, SourceResponse } from './contract.ts'
import { UNKNOWN_SOURCE_FILE_LEN, X_DRAGONFLY_RANGE } from './contract.ts'

/** A client and a resource whose bytes are known, ready to be read. */
export interface SourceFixture {
  readonly client: ResourceClient
  /** A resource … */
  readonly url: string
  /** … and its bytes. 32 MiB or more also show whether a body is pulled; 11 bytes do for everything else. */
  readonly content: Uint8Array
  /** A URL where there is nothing. */
  readonly missingUrl?: string
  /** What `isSupportRange` has to say. Left out: whatever it says has to be true. */
  readonly ranges?: boolean
  /** Sent along with every request. */
  readonly headers?: Readonly<Record<string, string>>
  /** Makes the resource another one, of the same length or not. */
  change?(): PromiseLike<void>
  /** A URL to list, and the names that must come. */
  readonly listing?: { readonly url: string; readonly names: readonly string[] }
  /** Called after each test. */
  close?(): PromiseLike<void>
}

/** `test` of node:test, vitest, jest: whatever takes a name and a function. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown

/**
 * What every source must do. Call it from a test file; each check opens a fixture of its own.
 * Under vitest pass its `test`; node:test, and any runner with a global `test`, is found.
 */
export function testSource(
  name: string,
  open: () => SourceFixture | Promise<SourceFixture>,
  options: { readonly test?: TestFunction } = {},
): void {
  const test = options.test ?? findTest()
  for (const [promise, check] of Object.entries(CHECKS)) {
    test(`${name} ${promise}`, async () => {
      const fixture = await open()
      const probe = new Probe(fixture)
      try {
        await check(probe)
      } finally {
        probe.close()
        await fixture.close?.()
      }
    })
  }
}

const HANG_MS = 10_000
const LARGE_BYTES = 32 * 2 ** 20
const READ_AHEAD_BYTES = 16 * 2 ** 20

const CHECKS: Readonly<Record<string, (probe: Probe) => Promise<void>>> = {
  async 'gives exactly the bytes of the resource'(probe) {
    const { content } = probe.fixture
    sameBytes(await probe.bytes(await probe.download()), content, 'the download')
    sameBytes(await probe.bytes(await probe.download()), content, 'a second download')
  },

  async 'announces the status and length that its body has'(probe) {
    const { status = 200, contentLength = -1, body } = await probe.download()
    strictEqual(status, 200, 'a download without a range has status 200')
    if (contentLength >= 0) strictEqual(contentLength, probe.fixture.content.length)
    ok(body !== undefined && body !== null, 'a response has a body')
  },

  async 'tells the length, or that it is unknown'(probe) {
    const { content } = probe.fixture
    const said = await probe.ask('getContentLength', (client) => client.getContentLength?.(probe.request()))
    const stat = await probe.ask('stat', (client) => client.stat?.(probe.request()))
    for (const length of [said, stat?.contentLength]) {
      if (length === undefined || length === UNKNOWN_SOURCE_FILE_LEN || length === -1) continue
      strictEqual(length, content.length)
    }
  },

  async 'says source.not_found for what is not there'(probe) {
    const { missingUrl, client } = probe.fixture
    if (missingUrl === undefined) return
    await rejects(probe.drained(missingUrl), { code: 'source.not_found' }, 'download')
    const missing = probe.request({ url: missingUrl })
    if (await probe.has('stat')) await rejects(async () => client.stat?.(missing), { code: 'source.not_found' }, 'stat')
    if (await probe.has('getContentLength')) {
      await rejects(async () => client.getContentLength?.(missing), { code: 'source.not_found' }, 'getContentLength')
    }
  },

  async 'is honest about ranges'(probe) {
    const { ranges } = probe.fixture
    const said = await probe.supportsRange()
    if (ranges !== undefined) strictEqual(said, ranges, 'isSupportRange')
    const stat = await probe.ask('stat', (client) => client.stat?.(probe.request()))
    if (stat?.supportsRange !== undefined) strictEqual(stat.supportsRange, said, 'stat and isSupportRange differ')
  },

  async 'gives exactly the range asked for, where it supports ranges'(probe) {
    const { content } = probe.fixture
    if (content.length === 0 || !(await probe.supportsRange())) return
    const last = content.length - 1
    const middle = Math.floor(last / 2)
    for (const [start, end] of [
      [0, 0],
      [0, last],
      [last, last],
      [middle, last],
      [middle, Math.min(middle + 9, last)],
    ] as const) {
      const response = await probe.download({ range: { start, end } })
      const { status = 200, contentLength = -1 } = response
      ok(status === 206 || contentLength === end + 1 - start, `range ${start}-${end}: status 206 or its contentLength`)
      sameBytes(await probe.bytes(response), content.subarray(start, end + 1), `range ${start}-${end}`)
    }
  },

  async 'stops when it is aborted'(probe) {
    const abort = new AbortController()
    const response = await probe.download({ signal: abort.signal })
    if (response.body instanceof Uint8Array) return
    const iterator = response.body[Symbol.asyncIterator]()
    const first = await iterator.next()
    abort.abort()
    let read = first.done === true ? 0 : first.value.length
    const rest = (async () => {
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) read += next.value.length
    })()
    await inTime(
      rest.catch(() => undefined),
      'the body goes on after an abort',
    )
    if (probe.fixture.content.length >= LARGE_BYTES) ok(read < LARGE_BYTES, 'an abort does not stop the body')
  },

  async 'refuses to begin when it is aborted already'(probe) {
    const signal = AbortSignal.abort()
    const read = (async () => probe.bytes(await probe.download({ signal })))()
    await inTime(
      read.catch(() => undefined),
      'a download that was aborted before it began does not end',
    )
  },

  async 'lets go of a body that is not read to its end'(probe) {
    const { body } = await probe.download()
    if (body instanceof Uint8Array) return
    const early = (async () => {
      for await (const chunk of body) if (chunk.length > 0) break
    })()
    await inTime(early, 'the body does not let go')
  },

  async 'reads no further ahead than it is asked for'(probe) {
    if (probe.fixture.content.length < LARGE_BYTES) return
    const { body } = await probe.download()
    if (body instanceof Uint8Array) fail('a body of this size must not stand in memory as a whole')
    const before = process.memoryUsage()
    const iterator = body[Symbol.asyncIterator]()
    await iterator.next()
    await sleep(500)
    const after = process.memoryUsage()
    await iterator.return?.()
    const held = after.arrayBuffers + after.heapUsed - before.arrayBuffers - before.heapUsed
    ok(held < READ_AHEAD_BYTES, `${held} bytes were read ahead of a consumer that waits`)
  },

  async 'says what is the same version, and what is not'(probe) {
    if (!(await probe.has('isExpired'))) return
    const { client } = probe.fixture
    const info = await probe.validators()
    const expired = async (info: ExpireInfo): Promise<unknown> => client.isExpired?.(probe.request(), info)
    strictEqual(await expired(info), false, 'isExpired for the validators it has just given')
    if (probe.fixture.change === undefined || (info.etag === undefined && info.lastModified === undefined)) return
    await probe.fixture.change()
    strictEqual(await expired(info), true, 'isExpired after a change')
  },

  async 'gives the last modification in milliseconds'(probe) {
    const ms = await probe.ask('getLastModified', (client) => client.getLastModified?.(probe.request()))
    if (ms === undefined || ms === 0) return
    ok(Number.isFinite(ms) && ms > 0, `getLastModified gave ${ms}`)
    ok(ms > 1e11, `${ms} looks like seconds, not milliseconds`)
    const { lastModified } = await probe.validators()
    if (lastModified !== undefined) strictEqual(Math.floor(ms / 1000) * 1000, Date.parse(lastModified))
  },

  async 'gives dates as HTTP writes them'(probe) {
    const { lastModified } = await probe.validators()
    if (lastModified === undefined) return
    strictEqual(lastModified, new Date(Date.parse(lastModified)).toUTCString(), 'Mon, 02 Jan 2006 15:04:05 GMT')
  },

  async 'lists one level, entry by entry'(probe) {
    const { listing, client } = probe.fixture
    if (listing === undefined || !(await probe.has('list'))) return
    const entries: Entry[] = []
    for await (const entry of client.list?.(probe.request({ url: listing.url })) ?? []) entries.push(entry)
    deepStrictEqual(entries.map(({ name }) => name).sort(), [...listing.names].sort())
    for (const { url, isDirectory } of entries) {
      ok(URL.canParse(url), `"${url}" is no URL`)
      strictEqual(typeof isDirectory, 'boolean', 'isDirectory')
    }
  },
}

/** A fixture, and the questions that all checks ask. */
class Probe {
  readonly fixture: SourceFixture
  readonly #bodies: unknown[] = []

  constructor(fixture: SourceFixture) {
    this.fixture = fixture
  }

  request(changes: Partial<SourceRequest> = {}): SourceRequest {
    const { url, headers = {} } = this.fixture
    const { range } = changes
    const ranged = range === undefined ? {} : { [X_DRAGONFLY_RANGE]: `${range.start}-${range.end}` }
    return { url, signal: new AbortController().signal, ...changes, headers: { ...headers, ...ranged } }
  }

  async download(changes: Partial<SourceRequest> = {}): Promise<SourceResponse> {
    const response = await this.fixture.client.download(this.request(changes))
    this.#bodies.push(response.body)
    return response
  }

  /** Lets go of every body, read or not. */
  close(): void {
    for (const body of this.#bodies) closeBody(body)
  }

  /** Missing, or thrown "implement me": undefined. The host does without. */
  async ask<T>(
    method: keyof ResourceClient,
    call: (client: ResourceClient) => Promise<T> | undefined,
  ): Promise<T | undefined> {
    return (await this.has(method)) ? call(this.fixture.client) : undefined
  }

  async has(method: keyof ResourceClient): Promise<boolean> {
    const { client } = this.fixture
    if (typeof client[method] !== 'function') return false
    if (method === 'download' || method === 'list') return true
    try {
      const call = client[method] as (request: SourceRequest, info: ExpireInfo) => Promise<unknown>
      await call.call(client, this.request(), {})
      return true
    } catch (error) {
      const { code, message } = Object(error) as { code?: unknown; message?: unknown }
      return code !== 'source.not_supported' && !/implement me|not (yet )?implemented/i.test(String(message))
    }
  }

  async supportsRange(): Promise<boolean> {
    const range = { start: 0, end: 0 }
    return (await this.ask('isSupportRange', (client) => client.isSupportRange?.(this.request({ range })))) === true
  }

  async validators(): Promise<ExpireInfo> {
    const stat = await this.ask('stat', (client) => client.stat?.(this.request()))
    if (stat !== undefined) return stat.expireInfo
    return (await this.download()).expireInfo ?? {}
  }

  async drained(url: string): Promise<void> {
    const response = await this.download({ url })
    const { status = 200 } = response
    if (status === 404) throw Object.assign(new Error('status 404'), { code: 'source.not_found' })
    await this.bytes(response)
  }

  async bytes({ body }: SourceResponse): Promise<Uint8Array> {
    if (body instanceof Uint8Array) return new Uint8Array(body)
    const chunks: Uint8Array[] = []
    for await (const chunk of body) {
      ok(chunk instanceof Uint8Array, `a chunk of the body is a ${typeof chunk}, expected a Uint8Array`)
      chunks.push(chunk)
    }
    return new Uint8Array(Buffer.concat(chunks))
  }
}

/** Compared at once: a difference of megabytes printed byte by byte helps nobody. */
function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  strictEqual(actual.length, expected.length, `${what} has another length`)
  ok(Buffer.compare(actual, expected) === 0, `${what} has other bytes`)
}

async function inTime(promise: Promise<unknown>, otherwise: string): Promise<void> {
  const late = Symbol('late')
  const abort = new AbortController()
  const first = await Promise.race([promise, sleep(HANG_MS, late, { signal: abort.signal })])
  abort.abort()
  if (first === late) fail(otherwise)
}

function findTest(): TestFunction {
  const { test } = globalThis as { test?: unknown }
  if (typeof test === 'function') return test as TestFunction
  if (process.env['VITEST'] !== undefined) {
    throw new Error("pass vitest's test: testSource(name, open, { test })")
  }
  return (name, run) => void nodeTest(name, run)
}
