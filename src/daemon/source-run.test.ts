import { randomFillSync } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ByteRange, Failure } from '#core'
import type { ReadOptions, ReadRequest, Source } from '#source'
import type { StoredTask, TaskStore } from '#storage'
import type { FromSourceDeps } from './read-origin.ts'
import { type Policy, readRun } from './source-run.ts'
import { bytesOf, metaOf, newReader, PIECE_LENGTH, tempStore } from './swarm-fixture.ts'

const PIECES = 24
const content = randomFillSync(Buffer.alloc(PIECES * PIECE_LENGTH - 1000))
const request: ReadRequest = { url: 'http://origin/file', headers: {} }

/** An origin in this process; it counts what it gives and who is being given right now. */
class Origin implements Source {
  readonly scheme = 'http'
  etag = '"v1"'
  ranges: boolean | undefined = true
  /** Which of its streams fail, and after how many bytes. */
  fails = new Map<number, number>()
  streams: (ByteRange | undefined)[] = []
  bytesRead = 0
  running = 0
  broken = 0
  local(): boolean {
    return false
  }
  async describe(): Promise<never> {
    throw new Error('not asked here')
  }
  async isExpired(): Promise<boolean> {
    return false
  }
  async read(_: ReadRequest, sink: Parameters<Source['read']>[1], options: ReadOptions) {
    const { range, signal } = options
    const failsAt = this.fails.get(this.streams.push(range) - 1) ?? Number.POSITIVE_INFINITY
    options.onAnswer?.({ expireInfo: { etag: this.etag }, totalLength: content.length, supportsRange: this.ranges })
    this.running++
    const { start, end } = range ?? { start: 0, end: content.length - 1 }
    let at = start
    try {
      while (at <= end && !sink.full) {
        await turn()
        if (signal.aborted) throw signal.reason
        if (at - start >= failsAt) {
          this.broken++
          throw new Failure('source.unreachable', 'the connection broke')
        }
        const space = sink.space()
        const part = content.subarray(at, Math.min(at + space.length, end + 1))
        space.set(part)
        at += part.length
        this.bytesRead += part.length
        if (!sink.filled(part.length)) await sink.drained()
      }
    } finally {
      this.running--
    }
    return { bytes: at - start, expireInfo: {} }
  }
}

let store: TaskStore
let task: StoredTask
let origin: Origin
beforeEach(async () => {
  store = await tempStore()
  task = await store.open(metaOf(content.length))
  origin = new Origin()
})
afterEach(() => store[Symbol.asyncDispose]())

/** Says these words, and then nothing more. */
function policyOf(...words: ('add' | 'drop' | 'stay')[]): Policy & { looks: number } {
  const policy = { looks: 0, look: () => words[policy.looks++] ?? 'stay' }
  return policy
}

const { signal } = new AbortController()

async function read(policy: Policy, over: Partial<FromSourceDeps> = {}, stop = signal): Promise<void> {
  const deps = {
    source: origin,
    signer: newReader(),
    limit: (sink) => sink,
    published: () => undefined,
    ...over,
  } satisfies FromSourceDeps
  await readRun(task, { first: 0, end: PIECES }, request, deps, stop, policy, 1)
}

const isWhole = async (): Promise<boolean> => (await bytesOf(task)).equals(content)

test('several streams read the pieces between them, each byte once', async () => {
  await read(policyOf('add', 'add', 'add'))
  expect(await isWhole()).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(origin.streams.length).toBeGreaterThan(3)
  expect(origin.streams[0]).toBeUndefined()
  const [first] = origin.streams
    .slice(1)
    .flatMap((range) => (range === undefined ? [] : [range.start]))
    .toSorted((a, b) => a - b)
  expect((first ?? 0) % PIECE_LENGTH).toBe(0)
})

test('one stream is all there is as long as nobody asks for more', async () => {
  await read(policyOf())
  expect(await isWhole()).toBe(true)
  expect(origin.streams).toEqual([undefined])
})

test('a stream that is one too many ends what it has begun, and nothing else', async () => {
  await read(policyOf('add', 'drop'))
  expect(await isWhole()).toBe(true)
  expect(origin.streams).toHaveLength(2)
  expect(origin.bytesRead).toBe(content.length)
})

test('an origin that refuses a second stream is read over the first, as far as that one goes', async () => {
  origin.fails.set(1, PIECE_LENGTH + 5)
  let looks = 0
  await read({ look: () => (looks++ === 0 || origin.broken > 0 ? 'add' : 'stay') })
  expect(origin.streams).toHaveLength(2)
  const missing = Array.from({ length: PIECES }, (_, number) => number).filter(
    (number) => task.piece(number) === undefined,
  )
  const [{ start, end }] = origin.streams.slice(1) as [ByteRange]
  // What the second one began and did not bring is the next run's.
  expect(missing[0]).toBe(start / PIECE_LENGTH + 1)
  expect(missing.at(-1)).toBe(Math.floor(end / PIECE_LENGTH))
})

test('when the first stream fails all of them end, and what came whole is kept', async () => {
  origin.fails.set(0, 3 * PIECE_LENGTH + 5)
  await expect(read(policyOf('add', 'add'))).rejects.toMatchObject({ code: 'source.unreachable' })
  expect(origin.running).toBe(0)
  expect(origin.bytesRead).toBeLessThan(content.length * 0.75)
  for (const number of [0, 1, 2]) expect(task.piece(number)).toBeDefined()
})

test('an abort ends all of them, with its reason', async () => {
  const stop = new AbortController()
  const reason = new Failure('download.cancelled', 'enough')
  let looks = 0
  const policy: Policy = {
    look() {
      if (++looks === 4) stop.abort(reason)
      return looks < 3 ? 'add' : 'stay'
    },
  }
  await expect(read(policy, {}, stop.signal)).rejects.toBe(reason)
  expect(origin.streams).toHaveLength(3)
  expect(origin.running).toBe(0)
})

test('what cannot be joined for sure, may be read over one connection only, or has a limit, is read in one stream', async () => {
  const never = policyOf('add', 'add')
  origin.etag = 'W/"v1"'
  task = await store.open(metaOf(content.length, { etag: 'W/"v1"', version: 'w' }))
  await read(never)
  task = await store.open(metaOf(content.length, { version: 'v2' }))
  origin.etag = '"v1"'
  origin.ranges = undefined
  await read(never)
  task = await store.open(metaOf(content.length, { version: 'v3' }))
  origin.ranges = true
  await read(never, { connections: 1 })
  task = await store.open(metaOf(content.length, { version: 'v4' }))
  const limit: FromSourceDeps['limit'] = (sink) => ({
    space: () => sink.space(),
    filled: (length) => sink.filled(length),
    drained: () => sink.drained(),
    get full() {
      return sink.full
    },
  })
  await read(never, { limit })
  expect(never.looks).toBe(0)
  expect(await isWhole()).toBe(true)
})
