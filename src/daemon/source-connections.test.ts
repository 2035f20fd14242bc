import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { beginRead, builtInSources, type Source, sourceSettings } from '#source'
import type { StoredTask, TaskStore } from '#storage'
import { type Glance, MoreConnections } from './more-connections.ts'
import type { FromSourceDeps } from './read-origin.ts'
import { type Policy, readRun } from './source-run.ts'
import { bytesOf, metaOf, newReader, PIECE_LENGTH, tempStore } from './swarm-fixture.ts'

const MiB = 2 ** 20
const PIECES = 32
const FIRST_BYTES = 4 * PIECE_LENGTH
const TICK_MS = 250
const content = randomFillSync(Buffer.alloc(PIECES * PIECE_LENGTH - 1000))

interface Open {
  readonly response: ServerResponse
  at: number
  readonly end: number
}

/**
 * An origin behind a real socket, that sends only what it is told to: each tick of a clock of ours lets so many bytes
 * through to each of its connections. So rates are what a test says, however busy the machine is.
 */
class Origin {
  readonly asked: string[] = []
  readonly open = new Set<Open>()
  /** Bytes that one of so many connections is sent per tick. */
  perTick: (connections: number) => number = () => MiB
  ranges = true
  /** Connections that are given to at once; others are answered 503. */
  most = Number.POSITIVE_INFINITY
  /** Bytes sent of bodies. */
  sent = 0
  refused = 0
  ticks = 0
  /** Connections at each tick. */
  readonly seen: number[] = []
  readonly server: Server = createServer((request, response) => this.#answer(request, response))

  tick(): void {
    this.ticks++
    this.seen.push(this.open.size)
    const each = this.perTick(this.open.size)
    for (const open of this.open) this.#send(open, each)
  }

  #send(open: Open, bytes: number): void {
    const part = content.subarray(open.at, Math.min(open.at + bytes, open.end))
    open.at += part.length
    this.sent += part.length
    if (open.at < open.end) return void open.response.write(part)
    this.open.delete(open)
    open.response.end(part)
  }

  #answer({ headers: { range = '' } }: IncomingMessage, response: ServerResponse): void {
    this.asked.push(range)
    if (this.open.size >= this.most) {
      this.refused++
      response.writeHead(503).end()
      return
    }
    const [, first = '', last = ''] = (this.ranges && /^bytes=(\d+)-(\d+)$/.exec(range)) || []
    const [at, end] = first === '' ? [0, content.length] : [Number(first), Number(last) + 1]
    response.writeHead(first === '' ? 200 : 206, {
      etag: '"v1"',
      'content-length': end - at,
      ...(this.ranges ? { 'accept-ranges': 'bytes' } : {}),
      ...(first === '' ? {} : { 'content-range': `bytes ${at}-${end - 1}/${content.length}` }),
    })
    response.flushHeaders()
    this.open.add({ response, at, end })
  }
}

/** The real decisions, in the time of the origin: it goes on when all that was sent has come, and all have been heard. */
function inTicks(policy: MoreConnections, origin: Origin, started: () => number): Policy {
  const now = (glance: Glance): Glance => ({ ...glance, nowMs: origin.ticks * TICK_MS })
  return {
    get connections() {
      return policy.connections
    },
    begin: (glance) => policy.begin(now(glance)),
    look(glance) {
      if (glance.bytes < origin.sent || origin.asked.length < started() || origin.open.size === 0) return
      policy.look(now(glance))
      origin.tick()
    },
    refused: () => policy.refused(),
    stretchBytes: (glance) => policy.stretchBytes(now(glance)),
    aheadBytes: (glance) => policy.aheadBytes(now(glance)),
  }
}

let store: TaskStore
let task: StoredTask
let origin: Origin
let http: Source
beforeEach(async () => {
  store = await tempStore()
  task = await store.open(metaOf(content.length))
  origin = new Origin()
  origin.server.listen(0, '127.0.0.1')
  await once(origin.server, 'listening')
  const settings = resolveSettings(sourceSettings, [{ retry: { firstDelay: '1ms', maxDelay: '2ms' } }])
  const found = builtInSources(settings, () => undefined).find(({ scheme }) => scheme === 'http')
  http = found ?? expect.fail('no source for http')
})
afterEach(async () => {
  origin.server.closeAllConnections()
  await new Promise((resolve) => origin.server.close(resolve))
  await store[Symbol.asyncDispose]()
})

function request(): { url: string; headers: Record<string, string> } {
  const address = origin.server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/file`, headers: {} }
}

const { signal } = new AbortController()

async function read(source: Source = http): Promise<void> {
  let started = origin.asked.length
  const counted: Source = {
    ...source,
    read: (...asked) => {
      if (source === http || started > 1) started++ // the first read of an early one was asked for already
      return source.read(...asked)
    },
  }
  const deps: FromSourceDeps = {
    source: counted,
    signer: newReader(),
    limit: (sink) => sink,
    published: () => undefined,
  }
  const policy = inTicks(new MoreConnections(4), origin, () => started)
  const pace = { lookMs: 1, firstBytes: FIRST_BYTES }
  await readRun(task, { first: 0, end: PIECES }, request(), deps, signal, policy, pace)
}

async function expectOnce(): Promise<void> {
  expect((await bytesOf(task)).equals(content)).toBe(true)
  expect(origin.sent).toBe(content.length)
}

test('an origin that holds back each connection is read over four, in less than half the time, each byte once', async () => {
  origin.perTick = () => MiB / 2
  await read()
  await expectOnce()
  const alone = Math.ceil(content.length / (MiB / 2))
  expect(Math.max(...origin.seen)).toBe(4)
  expect(origin.ticks).toBeLessThan(alone * 0.5)
})

test('an origin that is slow as a whole is read over one connection in the end, in the same time, each byte once', async () => {
  origin.perTick = (connections) => Math.floor(MiB / connections)
  await read()
  await expectOnce()
  expect(Math.max(...origin.seen)).toBe(2)
  const last = origin.seen.slice(-Math.floor(origin.seen.length / 3))
  expect(Math.max(...last)).toBe(1)
  expect(origin.asked).toHaveLength(3)
  expect(origin.ticks).toBeLessThan((content.length / MiB) * 1.05 + 2)
})

test('a fast origin is asked twice: for the first bytes, and while they come for all the rest', async () => {
  origin.perTick = () => 8 * MiB * TICK_MS
  await read()
  await expectOnce()
  expect(origin.asked).toEqual([`bytes=0-${FIRST_BYTES - 1}`, `bytes=${FIRST_BYTES}-${content.length - 1}`])
})

test('an origin that gives to one connection only is asked for others a time or two, and each byte once', async () => {
  origin.most = 1
  origin.perTick = () => MiB
  await read()
  await expectOnce()
  expect(Math.max(...origin.seen)).toBe(1)
  expect(origin.refused).toBe(1)
})

test('an origin that knows no ranges is asked once', async () => {
  origin.ranges = false
  const reading = read()
  while (origin.open.size === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  origin.perTick = () => content.length
  origin.tick()
  await reading
  await expectOnce()
  expect(origin.asked).toHaveLength(1)
})

test('a read that began with the question what there is asks for the first bytes as well, and goes on', async () => {
  origin.perTick = () => 8 * MiB
  using early = await beginRead(http, request(), signal, FIRST_BYTES)
  expect(early?.resource).toMatchObject({ contentLength: content.length, supportsRange: true })
  await read(early?.source)
  await expectOnce()
  expect(origin.asked[0]).toBe(`bytes=0-${FIRST_BYTES - 1}`)
  expect(origin.asked.filter((range) => range.startsWith('bytes=0-'))).toHaveLength(1)
})
