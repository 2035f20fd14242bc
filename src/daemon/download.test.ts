import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BLOCK_LENGTH, Failure, fill, parseDigest, pieceLengthFor } from '#core'
import { silentLog } from '#runtime'
import type { Source } from '#source'
import type { TaskStore } from '#storage'
import { Counts } from './counts.ts'
import { type DownloadDeps, download } from './download.ts'
import { Fetches } from './fetches.ts'
import { type Plan, type Planner, sourceOnlyPlanner } from './plan.ts'
import { TokenBucket } from './rate-limit.ts'
import type { DownloadRequest } from './request.ts'
import {
  type Behaviour,
  contentOf,
  fakeLink,
  newReader,
  parent,
  PIECE_LENGTH,
  recordOf,
  tempStore,
} from './swarm-fixture.ts'

const content = contentOf(2 * PIECE_LENGTH + 5)

/** An origin in this process that counts what is read, and can change, break or be away. */
class FakeOrigin implements Source {
  readonly scheme = 'http'
  content = content
  etag = '"1"'
  tellsLength = true
  /** What it says of its length when it is asked beforehand, in place of the truth. */
  saidLength: number | undefined
  ranges = true
  away = false
  /** Reads that break off after so many bytes. */
  breaksAt: number[] = []
  bytesRead = 0
  reads = 0
  local(): boolean {
    return false
  }
  describe() {
    this.#answer()
    const contentLength = this.tellsLength ? (this.saidLength ?? this.content.length) : undefined
    return Promise.resolve({ contentLength, supportsRange: this.ranges, expireInfo: this.#info(), headers: {} })
  }
  isExpired(_: unknown, info: { etag?: string }): Promise<boolean> {
    return Promise.resolve(!this.away && info.etag !== this.etag)
  }
  async read(_: unknown, sink: Parameters<Source['read']>[1], options: Parameters<Source['read']>[2]) {
    this.#answer()
    this.reads++
    if (options.ifMatch?.etag && options.ifMatch.etag !== this.etag)
      throw new Failure('source.changed', 'the origin changed')
    if (options.range && !this.ranges) throw new Failure('source.not_supported', 'no ranges here')
    options.onAnswer?.({ expireInfo: this.#info(), totalLength: this.content.length, supportsRange: this.ranges })
    const { start, end } = options.range ?? { start: 0, end: this.content.length - 1 }
    const wanted = this.content.subarray(start, end + 1)
    const breaksAt = this.breaksAt.shift()
    const given = await fill(sink, breaksAt === undefined ? wanted : wanted.subarray(0, breaksAt))
    this.bytesRead += given
    if (breaksAt !== undefined) throw new Failure('source.unreachable', 'the connection broke')
    return { bytes: given, expireInfo: this.#info() }
  }
  #info(): { etag?: string } {
    return this.etag === '' ? {} : { etag: this.etag }
  }
  #answer(): void {
    if (this.away) throw new Failure('source.unreachable', 'nobody answers at the origin')
  }
}

let dir: string
let store: TaskStore
let origin: FakeOrigin
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'download-test-'))
  store = await tempStore()
  origin = new FakeOrigin()
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

function deps(
  options: { planner?: Planner; parents?: Record<string, Behaviour>; source?: Source | Failure } = {},
): DownloadDeps {
  const planner = options.planner ?? sourceOnlyPlanner
  const { source = origin } = options
  const fetches = new Fetches({
    planner,
    link: fakeLink(options.parents ?? {}),
    signer: newReader('me'),
    bucket: new TokenBucket(0),
    concurrentPieces: 4,
    patienceMs: 50,
    requireRecords: false,
    counts: new Counts(),
    log: silentLog,
  })
  const find = (): Promise<Source> => (source instanceof Failure ? Promise.reject(source) : Promise.resolve(source))
  return {
    sources: { for: find },
    store,
    planner,
    fetches,
    isRunning: (task) => fetches.isRunning(task),
    forget: () => Promise.resolve(),
    readsLocalFiles: false,
    log: silentLog,
  }
}

const output = (): string => join(dir, 'out')
const wish = (over: Partial<DownloadRequest> = {}): DownloadRequest => ({
  url: 'http://origin/file',
  headers: {},
  tag: '',
  application: '',
  filteredQueryParams: [],
  pieceLength: undefined,
  digest: undefined,
  range: undefined,
  output: output(),
  originalOffset: false,
  rateLimitBytes: undefined,
  disableBackSource: false,
  needBackSource: false,
  inOrder: false,
  ...over,
})
const go = (request = wish(), with_ = deps()) => download(request, with_, new AbortController().signal)
const written = (): Buffer => readFileSync(output())

/** Plans in the order given; the last one again and again. */
function plannerOf(...plans: Plan[]): Planner & { asked: number } {
  const planner = {
    swarm: true,
    asked: 0,
    begin: () => ({
      peerId: 'p',
      next: () => Promise.resolve(plans[Math.min(planner.asked++, plans.length - 1)] as Plan),
      held: () => undefined,
      failed: () => undefined,
      finish: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  }
  return planner
}
const facts = {
  contentLength: content.length,
  pieceLength: pieceLengthFor(content.length),
  version: 'v1',
  etag: '"1"',
  lastModified: '',
  headers: {},
  signers: [],
}
const fromA: Plan = { kind: 'parents', parents: [parent('a')], facts }
const fromSource: Plan = { kind: 'source', facts: undefined, why: 'test' }

test('the file is written whole, and the origin is read once', async () => {
  const result = await go()
  expect(written().equals(content)).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(result.tally).toMatchObject({ fromSource: content.length, fromPeers: 0, local: 0 })
})

test('the second request is answered from the disk, without reading the origin or asking for a plan', async () => {
  const planner = plannerOf(fromSource)
  const shared = deps({ planner })
  await go(wish(), shared)
  const result = await go(wish(), shared)
  expect(origin.reads).toBe(1)
  expect(planner.asked).toBe(1)
  expect(result.tally).toMatchObject({ local: content.length, fromSource: 0 })
})

test('ten requests at once for one task cost one read', async () => {
  const shared = deps()
  await Promise.all(Array.from({ length: 10 }, (_, n) => go(wish({ output: join(dir, `out${n}`) }), shared)))
  expect(origin.bytesRead).toBe(content.length)
  for (let n = 0; n < 10; n++) expect(readFileSync(join(dir, `out${n}`)).equals(content)).toBe(true)
})

test('an origin that changed between two requests is read anew', async () => {
  const shared = deps()
  await go(wish(), shared)
  origin.content = contentOf(content.length, 7)
  origin.etag = '"2"'
  await go(wish(), shared)
  expect(written().equals(origin.content)).toBe(true)
})

test('an origin that changes while it is read gives the new file, never a mixture', async () => {
  origin.breaksAt = [PIECE_LENGTH + 3]
  const shared = deps()
  await expect(go(wish(), shared)).rejects.toMatchObject({ code: 'source.unreachable' })
  origin.content = contentOf(content.length, 8)
  origin.etag = '"2"'
  await go(wish(), shared)
  expect(written().equals(origin.content)).toBe(true)
})

test('an origin that sends another length than it announced gives an error, and neither a cut nor a long file', async () => {
  for (const saidLength of [5, content.length + 5]) {
    origin.saidLength = saidLength
    await expect(go()).rejects.toMatchObject({ code: 'source.changed' })
    expect(() => written()).toThrow(/ENOENT/)
  }
})

test('an origin that is away does not matter for what is here already', async () => {
  const shared = deps()
  await go(wish(), shared)
  origin.away = true
  await go(wish(), shared)
  expect(written().equals(content)).toBe(true)
})

test('an interrupted download goes on where it stopped', async () => {
  origin.breaksAt = [PIECE_LENGTH + 3]
  const shared = deps()
  await expect(go(wish(), shared)).rejects.toMatchObject({ code: 'source.unreachable' })
  const before = origin.bytesRead
  await go(wish(), shared)
  expect(origin.bytesRead - before).toBe(content.length - PIECE_LENGTH)
  expect(written().equals(content)).toBe(true)
})

test('half a file of an origin without validators is not gone on with: it could be another file by now', async () => {
  origin.etag = ''
  origin.breaksAt = [PIECE_LENGTH + 3]
  const shared = deps()
  await expect(go(wish(), shared)).rejects.toMatchObject({ code: 'source.unreachable' })
  origin.content = contentOf(content.length, 9)
  await go(wish(), shared)
  expect(written().equals(origin.content)).toBe(true)
})

test('an origin that knows no ranges is read whole, and held pieces are passed over', async () => {
  origin.breaksAt = [PIECE_LENGTH + 3]
  const shared = deps()
  await expect(go(wish(), shared)).rejects.toMatchObject({ code: 'source.unreachable' })
  origin.ranges = false
  await go(wish(), shared)
  expect(written().equals(content)).toBe(true)
})

test.each([0, 1, PIECE_LENGTH, 2 * PIECE_LENGTH, content.length])(
  'a file of %i bytes whose length nobody tells comes whole',
  async (length) => {
    origin.content = content.subarray(0, length)
    origin.tellsLength = false
    const result = await go()
    expect(result.contentLength).toBe(length)
    expect(written().equals(origin.content)).toBe(true)
  },
)

test('an empty file whose length nobody tells has a digest, too', async () => {
  origin.content = Buffer.alloc(0)
  origin.tellsLength = false
  await go(wish({ digest: parseDigest('md5:d41d8cd98f00b204e9800998ecf8427e') }))
  expect(written().length).toBe(0)
})

test('a range brings its bytes and no more pieces than it touches', async () => {
  const start = PIECE_LENGTH + 10
  const result = await go(wish({ range: { start, end: start + 99 } }))
  expect(result.bytes).toBe(100)
  expect(written().equals(content.subarray(start, start + 100))).toBe(true)
  expect(origin.bytesRead).toBe(PIECE_LENGTH)
})

test('two ranges at their original offsets land in one file', async () => {
  const shared = deps()
  await go(wish({ range: { start: 5, end: 9 }, originalOffset: true }), shared)
  await go(wish({ range: { start: 20, end: 29 }, originalOffset: true }), shared)
  const expected = Buffer.alloc(30)
  content.copy(expected, 5, 5, 10)
  content.copy(expected, 20, 20, 30)
  expect(written().equals(expected)).toBe(true)
})

test('the right digest passes; a wrong one leaves no file', async () => {
  const hex = createHash('sha256').update(content).digest('hex')
  await go(wish({ digest: parseDigest(`sha256:${hex}`) }))
  rmSync(output())
  await expect(go(wish({ digest: parseDigest(`md5:${'0'.repeat(32)}`) }))).rejects.toMatchObject({
    code: 'digest.mismatch',
  })
  expect(() => written()).toThrow(/ENOENT/)
})

test('pieces come from parents where the plan says so, and the origin is not read', async () => {
  const result = await go(wish(), deps({ planner: plannerOf(fromA), parents: { a: { content } } }))
  expect(origin.reads).toBe(0)
  expect(result.tally.byParentHost.get('127.0.0.1-a-peer')).toBe(content.length)
  expect(written().equals(content)).toBe(true)
})

test('of a piece that several parents gave, the bytes of each are told', async () => {
  const seed = newReader()
  const record = (number: number) => {
    const { taskId = '', version = '' } = store.list()[0]?.meta ?? {}
    const facts = { ...recordOf(content, number, seed), taskId, version }
    return { ...facts, signature: seed.key.sign(facts) }
  }
  const signers = [{ hostId: seed.hostId, publicKey: seed.key.publicKey }]
  const both: Plan = { kind: 'parents', parents: [parent('a'), parent('b')], facts: { ...facts, signers } }
  const parents = {
    a: { content, record, blocks: true, has: [0], partly: { 1: [0, 1, 2] } },
    b: { content, record, blocks: true, has: [2], partly: { 1: [3, 4, 5, 6, 7] } },
  }
  const result = await go(wish(), deps({ planner: plannerOf(both), parents }))
  expect(written().equals(content)).toBe(true)
  expect(Object.fromEntries(result.tally.byParentHost)).toEqual({
    '127.0.0.1-a-peer': PIECE_LENGTH + 3 * BLOCK_LENGTH,
    '127.0.0.1-b-peer': 5 * BLOCK_LENGTH + 5,
  })
  expect(result.tally).toMatchObject({ fromSource: 0, fromPeers: content.length })
})

test('what the parents cannot give comes from the origin', async () => {
  const planner = plannerOf(fromA, fromSource)
  const result = await go(wish(), deps({ planner, parents: { a: { content, has: [0] } } }))
  expect(result.tally).toMatchObject({ fromPeers: PIECE_LENGTH, fromSource: content.length - PIECE_LENGTH })
  expect(written().equals(content)).toBe(true)
})

test('parents that never give anything are not asked for ever', async () => {
  await go(wish(), deps({ planner: plannerOf(fromA), parents: { a: { content, has: [] } } }))
  expect(written().equals(content)).toBe(true)
  expect(origin.reads).toBeGreaterThan(0)
})

test('a download that may not read the origin says so, and leaves it alone', async () => {
  await expect(go(wish({ disableBackSource: true }))).rejects.toMatchObject({ code: 'download.no_source' })
  expect(origin.reads).toBe(0)
})

test('a host without the plugin gets the file from those who have it', async () => {
  const source = new Failure('source.unknown_scheme', 'nobody here reads d7yfs')
  await go(wish(), deps({ source, planner: plannerOf(fromA), parents: { a: { content } } }))
  expect(written().equals(content)).toBe(true)
})

test('a host without the plugin whose scheduler is silent says both', async () => {
  const source = new Failure('source.unknown_scheme', 'nobody here reads d7yfs')
  const planner = plannerOf({ kind: 'source', facts: undefined, why: 'the scheduler does not answer' })
  await expect(go(wish(), deps({ source, planner }))).rejects.toMatchObject({
    code: 'source.unknown_scheme',
    message: 'nobody here reads d7yfs (the scheduler does not answer)',
  })
})

test('a host without the plugin and without anybody to ask says what is missing', async () => {
  const source = new Failure('source.unknown_scheme', 'nobody here reads d7yfs')
  await expect(go(wish(), deps({ source }))).rejects.toMatchObject({ code: 'source.unknown_scheme' })
})

test('who leaves does not stop those who still wait', async () => {
  const shared = deps()
  const leaving = new AbortController()
  const first = download(wish(), shared, leaving.signal)
  const second = go(wish({ output: join(dir, 'second') }), shared)
  leaving.abort(new Failure('download.cancelled', 'gone'))
  await expect(first).rejects.toThrow()
  await second
  expect(readFileSync(join(dir, 'second')).equals(content)).toBe(true)
})
