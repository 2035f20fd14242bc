import { randomFillSync } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ByteRange, Failure, type FailureCode } from '#core'
import type { ReadOptions, ReadRequest, Source } from '#source'
import type { StoredTask, TaskStore } from '#storage'
import { fetchFromSource } from './from-source.ts'
import type { FromSourceDeps } from './read-origin.ts'
import { type Policy, readRun } from './source-run.ts'
import { bytesOf, metaOf, newReader, PIECE_LENGTH, tempStore } from './swarm-fixture.ts'

const PIECES = 24
const FIRST = 4
const content = randomFillSync(Buffer.alloc(PIECES * PIECE_LENGTH - 1000))
const request: ReadRequest = { url: 'http://origin/file', headers: {} }

interface Asked extends ByteRange {
  /** Others that were being given at that time. */
  readonly beside: number
  given: number
}

/** An origin in this process; it counts what it gives and who is being given right now. */
class Origin implements Source {
  readonly scheme = 'http'
  etag = '"v1"'
  /** Whether it knows ranges, from which of its streams on it does not, and whether it says so. */
  ranges = true
  rangesUntil = Number.POSITIVE_INFINITY
  tellsRanges = true
  /** Which of its streams fail, after how many bytes, and how. */
  fails = new Map<number, number>()
  code: FailureCode = 'source.unreachable'
  /** Streams that it gives to at once; more are refused. */
  most = Number.POSITIVE_INFINITY
  streams: Asked[] = []
  refusals = 0
  running = 0
  local(): boolean {
    return false
  }
  async describe(): Promise<never> {
    throw new Error('not asked here')
  }
  async isExpired(): Promise<boolean> {
    return false
  }
  get bytesRead(): number {
    return this.streams.reduce((sum, { given }) => sum + given, 0)
  }
  async read(_: ReadRequest, sink: Parameters<Source['read']>[1], options: ReadOptions) {
    const { range, atFirst, signal } = options
    if (this.running >= this.most) {
      this.refusals++
      throw new Failure('source.unreachable', 'status code from source is 503')
    }
    const knows = this.ranges && this.streams.length < this.rangesUntil
    if (!knows && range !== undefined) throw new Failure('source.not_supported', 'it answers 200')
    const all = { start: 0, end: content.length - 1 }
    const part = knows && atFirst !== undefined ? { start: 0, end: atFirst - 1 } : undefined
    const asked = { ...(range ?? part ?? all), beside: this.running, given: 0 }
    const failsAt = this.fails.get(this.streams.push(asked) - 1) ?? Number.POSITIVE_INFINITY
    const supportsRange = knows && this.tellsRanges ? true : undefined
    options.onAnswer?.({
      expireInfo: { etag: this.etag },
      totalLength: content.length,
      supportsRange,
      ...(part === undefined ? {} : { part }),
    })
    this.running++
    try {
      while (asked.start + asked.given <= asked.end && !sink.full) {
        await turn()
        if (signal.aborted) throw signal.reason
        if (asked.given >= failsAt) throw new Failure(this.code, 'the connection broke')
        const space = sink.space()
        const at = asked.start + asked.given
        const bytes = content.subarray(at, Math.min(at + space.length, asked.end + 1))
        space.set(bytes)
        asked.given += bytes.length
        if (!sink.filled(bytes.length)) await sink.drained()
      }
    } finally {
      this.running--
    }
    return { bytes: asked.given, expireInfo: {} }
  }
}

/** Does what it was told beforehand, look by look. */
class Script implements Policy {
  connections = 1
  looks = 0
  refusals = 0
  aheadPieces = 1
  readonly #words: readonly number[]
  constructor(...words: number[]) {
    this.#words = words
  }
  begin(): void {}
  look(): void {
    const word = this.#words[this.looks++]
    if (word !== undefined && this.refusals === 0) this.connections = word
  }
  refused(): void {
    this.refusals++
    this.connections = Math.max(this.connections - 1, 1)
    this.aheadPieces = 0
  }
  stretchBytes(): number {
    return 2 * PIECE_LENGTH
  }
  aheadBytes(): number {
    return this.aheadPieces * PIECE_LENGTH
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

const { signal } = new AbortController()

function depsOf(over: Partial<FromSourceDeps> = {}): FromSourceDeps {
  return { source: origin, signer: newReader(), limit: (sink) => sink, published: () => undefined, ...over }
}

async function read(
  policy: Policy,
  over: Partial<FromSourceDeps> = {},
  run = { first: 0, end: PIECES },
): Promise<void> {
  const pace = { lookMs: 1, firstBytes: FIRST * PIECE_LENGTH }
  await readRun(task, run, request, depsOf(over), signal, policy, pace)
}

const isWhole = async (): Promise<boolean> => (await bytesOf(task)).equals(content)
const starts = (): number[] => origin.streams.map(({ start }) => start / PIECE_LENGTH)
const sentWhole = ({ start, end, given }: Asked): boolean => given === end - start + 1
const most = (): number => Math.max(...origin.streams.map(({ beside }) => beside)) + 1

test('several streams read the pieces between them, from the front, each byte once', async () => {
  await read(new Script(4))
  expect(await isWhole()).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(origin.streams.every(sentWhole)).toBe(true)
  expect(most()).toBeGreaterThan(3)
  expect(starts()).toEqual([0, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22])
})

test('one stream follows the other as long as nobody asks for more, and a moment before the other ends', async () => {
  await read(new Script())
  expect(await isWhole()).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(origin.streams.map(({ beside }) => beside)).toEqual([0, ...Array<number>(10).fill(1)])
})

test('a stream that is one too many is sent whole, and no other takes its place', async () => {
  await read(new Script(4, 1))
  expect(await isWhole()).toBe(true)
  expect(origin.streams.every(sentWhole)).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(origin.streams.slice(-3).every(({ beside }) => beside <= 1)).toBe(true)
})

test('pieces that are here already are not asked for', async () => {
  await read(new Script(), {}, { first: 6, end: 9 })
  origin.streams = []
  await read(new Script(2))
  expect(await isWhole()).toBe(true)
  expect(starts()).toEqual([0, 4, 9, 11, 13, 15, 17, 19, 21, 23])
  expect(origin.bytesRead).toBe(content.length - 3 * PIECE_LENGTH)
})

test('what is missing in the middle is read in the same way', async () => {
  await read(new Script(2), {}, { first: 3, end: 20 })
  expect(starts()).toEqual([3, 7, 9, 11, 13, 15, 17, 19])
  expect(task.pieces().map(({ number }) => number)).toEqual(Array.from({ length: 17 }, (_, n) => n + 3))
})

test('an origin that knows no ranges is read once, in one stream', async () => {
  origin.ranges = false
  const script = new Script(4, 4, 4)
  await read(script)
  expect(await isWhole()).toBe(true)
  expect(origin.streams).toHaveLength(1)
  expect(script.looks).toBe(0)
})

test('an origin that answers a later range with everything is asked for no more streams, and then for the whole', async () => {
  origin.rangesUntil = 1
  const script = new Script(2)
  await read(script)
  expect(await isWhole()).toBe(true)
  expect(script.refusals).toBe(1)
  expect(origin.streams.map(({ start, end }) => [start, end])).toEqual([
    [0, FIRST * PIECE_LENGTH - 1],
    [0, content.length - 1],
  ])
})

test('an origin that refuses a second stream is read over one after the other, each byte once', async () => {
  origin.most = 1
  const script = new Script(4, 4, 4)
  await read(script)
  expect(await isWhole()).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(script.connections).toBe(1)
  expect(origin.refusals).toBeLessThanOrEqual(4)
  expect(most()).toBe(1)
})

test('what an additional stream did not bring is asked for again, by the piece', async () => {
  origin.fails.set(1, PIECE_LENGTH + 5)
  const script = new Script(2)
  await read(script)
  expect(await isWhole()).toBe(true)
  expect(script.refusals).toBe(1)
  expect(origin.bytesRead).toBe(content.length + 512 * 1024)
})

test('when the only stream fails, or one finds another content, all of them end, and what came whole is kept', async () => {
  origin.fails.set(0, 3 * PIECE_LENGTH + 5)
  await expect(read(new Script(4))).rejects.toMatchObject({ code: 'source.unreachable' })
  expect(origin.running).toBe(0)
  for (const number of [0, 1, 2]) expect(task.piece(number)).toBeDefined()
  task = await store.open(metaOf(content.length, { version: 'v2' }))
  origin.streams = []
  origin.fails = new Map([[2, PIECE_LENGTH]])
  origin.code = 'source.changed'
  await expect(read(new Script(4))).rejects.toMatchObject({ code: 'source.changed' })
  expect(origin.running).toBe(0)
  expect(origin.bytesRead).toBeLessThan(content.length * 0.75)
})

test('an abort ends all of them, with its reason', async () => {
  const stop = new AbortController()
  const reason = new Failure('download.cancelled', 'enough')
  const script = new Script(3, 3, 3)
  const pace = { lookMs: 1, firstBytes: FIRST * PIECE_LENGTH }
  const look = script.look.bind(script)
  script.look = () => {
    look()
    if (origin.running > 1) stop.abort(reason)
  }
  const reading = readRun(task, { first: 0, end: PIECES }, request, depsOf(), stop.signal, script, pace)
  await expect(reading).rejects.toBe(reason)
  expect(origin.running).toBe(0)
  expect(origin.bytesRead).toBeLessThan(content.length)
})

test('what cannot be joined for sure is read in one stream, what has a limit in one at a time', async () => {
  const never = new Script(4, 4)
  origin.etag = 'W/"v1"'
  task = await store.open(metaOf(content.length, { etag: 'W/"v1"', version: 'w' }))
  await read(never)
  expect(origin.streams).toHaveLength(1)
  origin = new Origin()
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
  expect(starts()).toEqual([0, FIRST])
  expect(most()).toBe(1)
  expect(never.looks).toBe(0)
  expect(origin.bytesRead).toBe(content.length)
  expect(await isWhole()).toBe(true)
})

test('at most one connection: one stream at a time, each byte once', async () => {
  await fetchFromSource(task, { first: 0, last: undefined }, request, depsOf({ connections: 1 }), signal)
  expect(await isWhole()).toBe(true)
  expect(origin.bytesRead).toBe(content.length)
  expect(starts()).toEqual([0, 16])
})
