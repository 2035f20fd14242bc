import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Failure, type FailureCode, fill } from '#core'
import { silentLog } from '#runtime'
import type { ReadOptions, Source } from '#source'
import type { TaskStore } from '#storage'
import { Counts } from './counts.ts'
import { type DownloadDeps, download } from './download.ts'
import { Fetches } from './fetches.ts'
import { sourceOnlyPlanner } from './plan.ts'
import { TokenBucket } from './rate-limit.ts'
import type { DownloadRequest } from './request.ts'
import { contentOf, fakeLink, newReader, PIECE_LENGTH, tempStore } from './swarm-fixture.ts'

const content = contentOf(PIECE_LENGTH + 5)

/** An origin whose answer to a read describes the resource as well; it notes what it is asked. */
class Origin implements Source {
  readonly scheme = 'http'
  readsDescribe = true
  /** Why reads are refused. */
  refuses: FailureCode | undefined
  asked: string[] = []
  bytesRead = 0
  local(): boolean {
    return false
  }
  async describe() {
    this.asked.push('describe')
    return { contentLength: content.length, supportsRange: true, expireInfo: { etag: '"1"' }, headers: {} }
  }
  async isExpired(): Promise<boolean> {
    return false
  }
  async read(_: unknown, sink: Parameters<Source['read']>[1], options: ReadOptions) {
    const { range = { start: 0, end: content.length - 1 } } = options
    this.asked.push(options.impatient ? 'early read' : 'read')
    if (this.refuses) throw new Failure(this.refuses, 'no')
    options.onAnswer?.({ expireInfo: { etag: '"1"' }, totalLength: content.length, supportsRange: true })
    const stopped = new Promise<never>((_, reject) =>
      options.signal.addEventListener('abort', () => reject(new Failure('download.cancelled', 'hung up'))),
    )
    const bytes = await Promise.race([fill(sink, content.subarray(range.start, range.end + 1)), stopped])
    this.bytesRead += bytes
    return { bytes, expireInfo: {} }
  }
}

let dir: string
let store: TaskStore
let origin: Origin
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'early-reads-test-'))
  store = await tempStore()
  origin = new Origin()
})
afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

function host({ seed = true }: { seed?: boolean } = {}): DownloadDeps {
  const fetches = new Fetches({
    planner: sourceOnlyPlanner,
    link: fakeLink({}),
    signer: newReader('me'),
    bucket: new TokenBucket(0),
    concurrentPieces: 4,
    patienceMs: 50,
    requireRecords: false,
    counts: new Counts(),
    log: silentLog,
  })
  return {
    sources: { for: async () => origin },
    store,
    planner: sourceOnlyPlanner,
    fetches,
    isRunning: (task) => fetches.isRunning(task),
    forget: async () => undefined,
    readsLocalFiles: false,
    seed,
    log: silentLog,
  }
}

const wish = (over: Partial<DownloadRequest> = {}): DownloadRequest => ({
  url: 'http://origin/file',
  headers: {},
  tag: '',
  application: '',
  filteredQueryParams: [],
  pieceLength: undefined,
  digest: undefined,
  range: undefined,
  output: join(dir, 'out'),
  originalOffset: false,
  rateLimitBytes: undefined,
  disableBackSource: false,
  needBackSource: false,
  inOrder: false,
  ...over,
})
const go = (request = wish(), deps = host()) => download(request, deps, new AbortController().signal)

test('a seed asks for a new file and reads it in one go', async () => {
  await go()
  expect(origin.asked).toEqual(['early read'])
  expect(readFileSync(join(dir, 'out')).equals(content)).toBe(true)
})

test('of many who ask a seed for a new file at once one reads it, and only once', async () => {
  const deps = host()
  await Promise.all(Array.from({ length: 10 }, (_, n) => go(wish({ output: join(dir, `out${n}`) }), deps)))
  expect(origin.asked.filter((question) => question.includes('read'))).toEqual(['early read'])
  expect(origin.bytesRead).toBe(content.length)
  for (let n = 0; n < 10; n++) expect(readFileSync(join(dir, `out${n}`)).equals(content)).toBe(true)
})

test('who is no seed, wants a part, or may not read the origin reads nothing before it has to', async () => {
  await go(wish({ tag: 'a' }), host({ seed: false }))
  await go(wish({ tag: 'b', range: { start: 0, end: 9 } }))
  await go(wish({ tag: 'c', disableBackSource: true })).catch(() => undefined)
  expect(origin.asked).toEqual(['describe', 'read', 'describe', 'read', 'describe'])
})

test('a source that cannot do it in one is asked as ever', async () => {
  origin.readsDescribe = false
  await go()
  expect(origin.asked).toEqual(['describe', 'read'])
})

test('a file that is here in part is asked for as ever', async () => {
  await go(wish({ range: { start: 0, end: 9 } }))
  origin.asked = []
  await go()
  expect(origin.asked).not.toContain('early read')
})

test('what the origin says of it counts; where it says nothing it is asked again with patience', async () => {
  origin.refuses = 'source.not_found'
  await expect(go()).rejects.toMatchObject({ code: 'source.not_found' })
  expect(origin.asked).toEqual(['early read'])
  origin.refuses = 'source.unreachable'
  await expect(go()).rejects.toMatchObject({ code: 'source.unreachable' })
  expect(origin.asked).toEqual(['early read', 'early read', 'describe', 'read'])
  origin.refuses = undefined
  await go(wish({ tag: 'again' }))
  expect(origin.asked.at(-1)).toBe('early read')
})

test('a read that has begun ends with a download that comes to nothing, and the next one can begin', async () => {
  const stop = new AbortController()
  const deps = host()
  const open = store.open.bind(store)
  Object.assign(store, { open: () => Promise.reject(new Failure('storage.full', 'no room')) })
  await expect(download(wish(), deps, stop.signal)).rejects.toMatchObject({ code: 'storage.full' })
  expect(origin.bytesRead).toBe(0)
  Object.assign(store, { open })
  await go(wish(), deps)
  expect(origin.asked).toEqual(['early read', 'early read'])
})
