import { deepStrictEqual, fail, ok, rejects, strictEqual } from 'node:assert/strict'
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
  /** A URL to list, and the names that must come; where none are said, any. */
  readonly listing?: { readonly url: string; readonly names?: readonly string[] }
  /** Called after each test. */
  close?(): PromiseLike<void>
}

/** Why a check came to no verdict: the client cannot do that, or the fixture lacks what it takes. */
export type Skipped = { readonly unsupported: string } | { readonly untried: Lacking }
export type Lacking = 'missingUrl' | 'change' | 'listing' | 'a byte' | '32 MiB'

/** Rejects when the client does not keep what the name of the check promises. */
export type ContractCheck = (probe: Probe) => Promise<Skipped | undefined>

const HANG_MS = 10_000
const LARGE_BYTES = 32 * 2 ** 20
const READ_AHEAD_BYTES = 16 * 2 ** 20
const MOST_ENTRIES = 100_000

/** What every source must do, by what it promises. */
export const CONTRACT_CHECKS: Readonly<Record<string, ContractCheck>> = {
  async 'gives exactly the bytes of the resource'(probe) {
    const { content } = probe.fixture
    sameBytes(await probe.bytes(await probe.download()), content, 'the download')
    sameBytes(await probe.bytes(await probe.download()), content, 'a second download')
    return undefined
  },

  async 'announces the status and length that its body has'(probe) {
    const { status = 200, contentLength = -1, body } = await probe.download()
    strictEqual(status, 200, 'a download without a range has status 200')
    if (contentLength >= 0) strictEqual(contentLength, probe.fixture.content.length)
    ok(body !== undefined && body !== null, 'a response has a body')
    return undefined
  },

  async 'tells the length, or that it is unknown'(probe) {
    const { content } = probe.fixture
    const said = await probe.ask('getContentLength', (client) => client.getContentLength?.(probe.request()))
    const stat = await probe.ask('stat', (client) => client.stat?.(probe.request()))
    const lengths = [said, stat?.contentLength].filter((length) => length !== undefined)
    if (lengths.length === 0) return { unsupported: 'it has neither getContentLength nor stat' }
    for (const length of lengths) {
      if (length === UNKNOWN_SOURCE_FILE_LEN || length === -1) continue
      strictEqual(length, content.length)
    }
    return undefined
  },

  async 'says source.not_found for what is not there'(probe) {
    const { missingUrl, client } = probe.fixture
    if (missingUrl === undefined) return { untried: 'missingUrl' }
    await rejects(probe.drained(missingUrl), { code: 'source.not_found' }, 'download')
    const missing = probe.request({ url: missingUrl })
    if (await probe.has('stat')) await rejects(async () => client.stat?.(missing), { code: 'source.not_found' }, 'stat')
    if (await probe.has('getContentLength')) {
      await rejects(async () => client.getContentLength?.(missing), { code: 'source.not_found' }, 'getContentLength')
    }
    return undefined
  },

  async 'is honest about ranges'(probe) {
    const { ranges } = probe.fixture
    const said = await probe.supportsRange()
    if (ranges !== undefined) strictEqual(said, ranges, 'isSupportRange')
    if (!(await probe.has('isSupportRange'))) return undefined
    const told = await probe.rangesByStat()
    if (told !== undefined) strictEqual(told, said, 'stat and isSupportRange differ')
    return undefined
  },

  async 'gives exactly the range asked for, where it supports ranges'(probe) {
    const { content } = probe.fixture
    if (content.length === 0) return { untried: 'a byte' }
    if (!(await probe.supportsRange())) return { unsupported: 'isSupportRange does not say true' }
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
    return undefined
  },

  async 'stops when it is aborted'(probe) {
    const abort = new AbortController()
    const response = await probe.download({ signal: abort.signal })
    if (response.body instanceof Uint8Array) return undefined
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
    return undefined
  },

  async 'refuses to begin when it is aborted already'(probe) {
    const signal = AbortSignal.abort()
    const read = (async () => probe.bytes(await probe.download({ signal })))()
    await inTime(
      read.catch(() => undefined),
      'a download that was aborted before it began does not end',
    )
    return undefined
  },

  async 'lets go of a body that is not read to its end'(probe) {
    const { body } = await probe.download()
    if (body instanceof Uint8Array) return undefined
    const early = (async () => {
      for await (const chunk of body) if (chunk.length > 0) break
    })()
    await inTime(early, 'the body does not let go')
    return undefined
  },

  async 'reads no further ahead than it is asked for'(probe) {
    if (probe.fixture.content.length < LARGE_BYTES) return { untried: '32 MiB' }
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
    return undefined
  },

  async 'says that what it has just described is the same version'(probe) {
    if (!(await probe.has('isExpired'))) return { unsupported: 'it has no isExpired' }
    const info = await probe.validators()
    strictEqual(await probe.expired(info), false, 'isExpired for the validators it has just given')
    return undefined
  },

  async 'says that a resource which changed is another version'(probe) {
    const { fixture } = probe
    if (fixture.change === undefined) return { untried: 'change' }
    const before = await probe.validators()
    if (isEmpty(before)) return { unsupported: 'it gives neither an ETag nor a date' }
    await fixture.change()
    if (await probe.has('isExpired')) strictEqual(await probe.expired(before), true, 'isExpired after a change')
    const after = await probe.validators()
    const told = `${JSON.stringify(before)} before a change, ${JSON.stringify(after)} after it`
    ok(before.etag !== after.etag || before.lastModified !== after.lastModified, told)
    return undefined
  },

  async 'gives the last modification in milliseconds'(probe) {
    const ms = await probe.ask('getLastModified', (client) => client.getLastModified?.(probe.request()))
    if (ms === undefined) return { unsupported: 'it has no getLastModified' }
    if (ms === 0) return { unsupported: 'its origin tells no date' }
    ok(Number.isFinite(ms) && ms > 0, `getLastModified gave ${ms}`)
    ok(ms > 1e11, `${ms} looks like seconds, not milliseconds`)
    const { lastModified } = await probe.validators()
    if (lastModified !== undefined) strictEqual(Math.floor(ms / 1000) * 1000, Date.parse(lastModified))
    return undefined
  },

  async 'gives dates as HTTP writes them'(probe) {
    const { lastModified } = await probe.validators()
    if (lastModified === undefined) return { unsupported: 'it gives no date' }
    strictEqual(lastModified, new Date(Date.parse(lastModified)).toUTCString(), 'Mon, 02 Jan 2006 15:04:05 GMT')
    return undefined
  },

  async 'lists one level, entry by entry'(probe) {
    const { listing, client } = probe.fixture
    if (!(await probe.has('list'))) return { unsupported: 'it has no list' }
    if (listing === undefined) return { untried: 'listing' }
    const entries: Entry[] = []
    for await (const entry of client.list?.(probe.request({ url: listing.url })) ?? []) {
      entries.push(entry)
      ok(entries.length <= MOST_ENTRIES, `the listing has more than ${MOST_ENTRIES} entries`)
    }
    if (listing.names !== undefined)
      deepStrictEqual(entries.map(({ name }) => name).sort(), [...listing.names].sort(), 'the names listed')
    for (const { url, name, isDirectory } of entries) {
      ok(URL.canParse(url), `"${url}" is no URL`)
      ok(typeof name === 'string' && /^[^/]+$/.test(name), `"${name}" is no name of an entry one level down`)
      strictEqual(typeof isDirectory, 'boolean', 'isDirectory')
    }
    return undefined
  },
}

/** A fixture, and the questions that all checks ask. */
export class Probe {
  readonly fixture: SourceFixture
  readonly #bodies: unknown[] = []
  readonly #over = new AbortController()

  constructor(fixture: SourceFixture) {
    this.fixture = fixture
  }

  request(changes: Partial<SourceRequest> = {}): SourceRequest {
    const { url, headers = {} } = this.fixture
    const { range } = changes
    const ranged = range === undefined ? {} : { [X_DRAGONFLY_RANGE]: `${range.start}-${range.end}` }
    return { url, signal: this.#over.signal, ...changes, headers: { ...headers, ...ranged } }
  }

  async download(changes: Partial<SourceRequest> = {}): Promise<SourceResponse> {
    const response = await this.fixture.client.download(this.request(changes))
    this.#bodies.push(response.body)
    return response
  }

  /** Lets go of every body, read or not, and of every question that is still open. */
  close(): void {
    this.#over.abort()
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

  /** As a host finds it out: by `isSupportRange`, and by `stat` where there is none. */
  async supportsRange(): Promise<boolean> {
    const range = { start: 0, end: 0 }
    if (!(await this.has('isSupportRange'))) return (await this.rangesByStat()) === true
    return (await this.ask('isSupportRange', (client) => client.isSupportRange?.(this.request({ range })))) === true
  }

  async rangesByStat(): Promise<boolean | undefined> {
    return (await this.ask('stat', (client) => client.stat?.(this.request())))?.supportsRange
  }

  async expired(info: ExpireInfo): Promise<unknown> {
    return this.fixture.client.isExpired?.(this.request(), info)
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
      chunks.push(new Uint8Array(chunk)) // its memory may be used again for the next one
    }
    return new Uint8Array(Buffer.concat(chunks))
  }
}

function isEmpty({ etag, lastModified }: ExpireInfo): boolean {
  return (etag ?? '') === '' && (lastModified ?? '') === ''
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
