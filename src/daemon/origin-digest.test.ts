import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Digest, Failure, fill } from '#core'
import { silentLog } from '#runtime'
import type { Source } from '#source'
import type { TaskStore } from '#storage'
import { Counts } from './counts.ts'
import { type DownloadDeps, download } from './download.ts'
import { Fetches } from './fetches.ts'
import { digestOfVersion, versionOfDigest } from './origin-digest.ts'
import { type Planner, sourceOnlyPlanner } from './plan.ts'
import { TokenBucket } from './rate-limit.ts'
import type { DownloadRequest } from './request.ts'
import { contentOf, fakeLink, newReader, parent, PIECE_LENGTH, tempStore } from './swarm-fixture.ts'

const content = contentOf(2 * PIECE_LENGTH + 5)
const digestOf = (bytes: Uint8Array, algorithm: 'sha1' | 'sha512' = 'sha512'): Digest => ({
  algorithm,
  hex: createHash(algorithm).update(bytes).digest('hex'),
})

/** An origin that publishes a digest, which may not be that of what it gives. */
class PublishingOrigin implements Source {
  readonly scheme = 'npm'
  content = content
  published: Digest | undefined = digestOf(content)
  /** Tells it with the bytes alone. */
  answersOnly = false
  etag = '"1"'
  bytesRead = 0
  local(): boolean {
    return false
  }
  async describe() {
    const digest = this.published !== undefined && !this.answersOnly ? { digest: this.published } : {}
    const expireInfo = this.etag === '' ? {} : { etag: this.etag }
    return { contentLength: this.content.length, supportsRange: true, expireInfo, headers: {}, ...digest }
  }
  async isExpired(): Promise<boolean> {
    return false
  }
  async read(_: unknown, sink: Parameters<Source['read']>[1], options: Parameters<Source['read']>[2]) {
    const { range } = options
    const digest = this.published === undefined ? {} : { digest: this.published }
    options.onAnswer?.({ expireInfo: {}, totalLength: this.content.length, supportsRange: true, ...digest })
    const { start, end } = range ?? { start: 0, end: this.content.length - 1 }
    const bytes = await fill(sink, this.content.subarray(start, end + 1))
    this.bytesRead += bytes
    return { bytes, expireInfo: {} }
  }
}

let dir: string
let store: TaskStore
let origin: PublishingOrigin
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'origin-digest-test-'))
  store = await tempStore()
  origin = new PublishingOrigin()
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

interface Surroundings {
  readonly planner?: Planner
  readonly link?: ReturnType<typeof fakeLink>
  readonly source?: Source | Failure
}

function deps({ planner = sourceOnlyPlanner, link = fakeLink({}), source = origin }: Surroundings = {}): DownloadDeps {
  const fetches = new Fetches({
    planner,
    link,
    signer: newReader('me'),
    bucket: new TokenBucket(0),
    concurrentPieces: 4,
    patienceMs: 50,
    requireRecords: false,
    counts: new Counts(),
    log: silentLog,
  })
  return {
    sources: { for: async () => (source instanceof Failure ? Promise.reject(source) : source) },
    store,
    planner,
    fetches,
    isRunning: (task) => fetches.isRunning(task),
    forget: async () => undefined,
    readsLocalFiles: false,
    log: silentLog,
  }
}

const output = (): string => join(dir, 'out')
const wish = (over: Partial<DownloadRequest> = {}): DownloadRequest => ({
  url: 'npm://host/left-pad@1.0.0',
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
const go = (request = wish(), host = deps()) => download(request, host, new AbortController().signal)
const failureOf = (running: Promise<unknown>): Promise<Failure> =>
  running.then(
    () => expect.fail('it went well'),
    (error: unknown) => error as Failure,
  )

test('what matches the digest that its origin publishes is handed over, read once', async () => {
  await go()
  expect(readFileSync(output()).equals(content)).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
})

for (const answersOnly of [false, true]) {
  const when = answersOnly ? 'with its bytes' : 'beforehand'
  test(`bytes that are not what the origin publishes ${when} are refused and thrown away`, async () => {
    Object.assign(origin, { answersOnly, published: digestOf(contentOf(7)) })
    const failure = await failureOf(go())
    expect(failure.code).toBe('digest.mismatch')
    expect(failure.message).toContain('is not what its own origin publishes: real[sha512:')
    expect(existsSync(output())).toBe(false)
    expect(store.list()).toEqual([])
    expect(origin.bytesRead).toBe(content.length)
    origin.published = digestOf(content) // mended: the next try is a clean one
    await go()
    expect(readFileSync(output()).equals(content)).toBe(true)
  })
}

test('an empty file is checked, too', async () => {
  origin.content = Buffer.alloc(0)
  expect((await failureOf(go())).code).toBe('digest.mismatch')
  origin.published = digestOf(origin.content)
  expect((await go()).bytes).toBe(0)
})

test('ranges are given unchecked until the last of them makes the file whole', async () => {
  const host = deps()
  origin.published = digestOf(contentOf(7))
  await go(wish({ range: { start: PIECE_LENGTH, end: content.length - 1 } }), host)
  expect(readFileSync(output()).equals(content.subarray(PIECE_LENGTH))).toBe(true)
  expect((await failureOf(go(wish({ range: { start: 0, end: 9 } }), host))).code).toBe('digest.mismatch')
  expect(store.list()).toEqual([])
})

test('a part of another state that was here before is read again, not joined to the new one', async () => {
  origin.content = contentOf(content.length, 2)
  await go(wish({ range: { start: 0, end: 9 } }))
  origin.content = content
  await go()
  expect(readFileSync(output()).equals(content)).toBe(true)
})

test('what is whole here is checked once by each process, and not again', async () => {
  await go()
  const host = deps()
  const [task] = store.list()
  let reads = 0
  const read = task!.read.bind(task)
  Object.assign(task!, { read: (...args: Parameters<typeof read>) => (reads++, read(...args)) })
  await go(wish({ output: undefined }), host)
  expect(reads).toBeGreaterThan(0)
  reads = 0
  await Promise.all([go(wish({ output: undefined }), host), go(wish({ output: undefined }), host)])
  expect(reads).toBe(0)
  expect(origin.bytesRead).toBe(content.length)
})

test('ranges that come one by one are not digested from the start again with each of them', async () => {
  const host = deps()
  origin.content = contentOf(12 * PIECE_LENGTH)
  origin.published = digestOf(origin.content, 'sha1')
  await go(wish({ range: { start: 0, end: 9 } }), host)
  const [task] = store.list()
  let digested = 0
  const read = task!.read.bind(task)
  Object.assign(task!, {
    read: async (...args: Parameters<typeof read>) => {
      const length = await read(...args)
      digested += length
      return length
    },
  })
  for (let number = 1; number < 12; number++) {
    const start = number * PIECE_LENGTH
    await go(wish({ output: undefined, range: { start, end: start + 9 } }), host)
    await sleep(20) // what is digested beside comes to rest
  }
  expect(task!.complete).toBe(true)
  expect(digested).toBeGreaterThanOrEqual(origin.content.length) // nothing half done is kept between them
  expect(digested).toBeLessThan(3 * origin.content.length)
})

test('another digest is another version where the origin tells no other validator', async () => {
  origin.etag = ''
  await go()
  origin.content = contentOf(content.length, 2)
  origin.published = digestOf(origin.content)
  await go()
  expect(readFileSync(output()).equals(origin.content)).toBe(true)
})

test("the user's digest counts besides: another kind is checked as well, a contradiction is told at once", async () => {
  await go(wish({ digest: digestOf(content, 'sha1') }))
  const wrong = await failureOf(go(wish({ digest: digestOf(contentOf(7), 'sha1') })))
  expect(wrong).toMatchObject({ code: 'digest.mismatch' })
  expect(wrong.message).toContain('expected[sha1:')
  await store.delete(store.list()[0]!.meta.taskId)
  const before = origin.bytesRead
  const contradiction = await failureOf(go(wish({ digest: digestOf(contentOf(7)) })))
  expect(contradiction).toMatchObject({ code: 'digest.mismatch' })
  expect(contradiction.message).toContain('published with another digest than you expect')
  expect(origin.bytesRead).toBe(before)
})

test('a version says which digest it is, and is short enough for every message', () => {
  for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512'] as const) {
    const digest = { algorithm, hex: createHash(algorithm).update('x').digest('hex') }
    expect(digestOfVersion(versionOfDigest(digest))).toEqual(digest)
    expect(versionOfDigest(digest).length).toBeLessThanOrEqual(128)
  }
  for (const other of ['', 'v1', 'a'.repeat(32), 'sha512-', 'sha1-AAAA', 'crc32-AAAAAA', 'sha256-!!']) {
    expect(digestOfVersion(other)).toBeUndefined()
  }
})

test('a host that cannot ask the origin learns the digest from the swarm, and refuses what does not match', async () => {
  const bad = contentOf(content.length, 2)
  const away = new Failure('source.unknown_scheme', 'no plugin here')
  const swarm = (given: Buffer): Surroundings => ({
    source: away,
    planner: plannerOfA,
    link: fakeLink({ a: { content: given } }),
  })
  expect(await failureOf(go(wish(), deps(swarm(bad))))).toMatchObject({ code: 'digest.mismatch' })
  expect(store.list()).toEqual([])
  await go(wish(), deps(swarm(content)))
  expect(readFileSync(output()).equals(content)).toBe(true)
})

/** Names one parent, and tells the version that a seed found at the origin. */
const plannerOfA: Planner = {
  swarm: true,
  begin: (registration) => ({
    ...sourceOnlyPlanner.begin(registration),
    next: async () => ({
      kind: 'parents',
      parents: [parent('a')],
      facts: {
        contentLength: content.length,
        pieceLength: PIECE_LENGTH,
        version: versionOfDigest(digestOf(content)),
        etag: '',
        lastModified: '',
        headers: {},
        signers: [],
      },
    }),
  }),
}
