import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Failure, resolveSettings } from '#core'
import { bytesOf } from '#devnet'
import { beginRead, type EarlyRead } from './early-read.ts'
import { builtInSources } from './registry.ts'
import { sourceSettings } from './settings.ts'
import type { ReadOptions, Source } from './source.ts'
import { testSink } from './test-sink.ts'

const settings = resolveSettings(sourceSettings, [{ retry: { firstDelay: '1ms', maxDelay: '2ms' } }])
const http = builtInSources(settings, () => undefined).find(({ scheme }) => scheme === 'http') as Source
const { signal } = new AbortController()
const MiB = 2 ** 20

let content = Buffer.alloc(0)
let server: Server
/** First lines of what was asked of the origin. */
let asked: string[] = []
/** How the origin answers a GET; the plain way without it. */
let answer: ((socket: Socket, head: string) => void) | undefined
const sockets = new Set<Socket>()

beforeEach(async () => {
  asked = []
  answer = undefined
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.on('data', (head) => {
      asked.push(head.toString('latin1').split('\r\n', 1)[0] ?? '')
      if (answer !== undefined) return answer(socket, head.toString('latin1'))
      socket.write(headOf(content.length))
      socket.end(content)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

function headOf(length: number): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\nETag: "1"\r\nX-Kept: yes\r\nAccept-Ranges: bytes\r\n\r\n`
}

function request(): { url: string; headers: Record<string, string> } {
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/file`, headers: {} }
}

async function begin(): Promise<EarlyRead> {
  const early = await beginRead(http, request(), signal)
  return early ?? expect.fail('no read has begun')
}

async function read(early: EarlyRead, sink = testSink(), options: Partial<ReadOptions> = {}): Promise<Buffer> {
  await early.source.read(request(), sink, { signal, ...options })
  return sink.bytes
}

test('property: one request describes and is read, whatever the sizes, rests, and the time in between', async () => {
  const arbitrary = fc.record({
    size: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 60_000, max: 400_000 })),
    spaces: fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 8 }),
    rests: fc.array(fc.option(fc.constantFrom(0, 1), { nil: undefined, freq: 3 }), { minLength: 1, maxLength: 8 }),
    waitMs: fc.constantFrom(0, 0, 3),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ size, spaces, rests, waitMs }) => {
      content = Buffer.from(bytesOf({ size, seed: size }))
      asked = []
      using early = await begin()
      expect(early.resource).toMatchObject({
        contentLength: size,
        expireInfo: { etag: '"1"' },
        headers: { 'x-kept': 'yes' },
      })
      if (waitMs > 0) await sleep(waitMs)
      let turn = 0
      const least = Math.ceil(size / 500) // or a large one, byte by byte with a rest for each, takes minutes
      const sink = testSink({
        spaceBytes: () => Math.max(spaces[turn++ % spaces.length] ?? 1, least),
        restMs: () => rests[turn % rests.length],
      })
      expect((await read(early, sink, { wholeBytes: size })).equals(content)).toBe(true)
      expect(asked).toEqual(['GET /file HTTP/1.1'])
    }),
    { numRuns: 60 },
  )
}, 120_000)

test('an origin that nobody reads on is held back, and hung up on when it is let go of', async () => {
  content = Buffer.alloc(64 * MiB)
  const early = await begin()
  const [socket] = sockets
  await sleep(50)
  expect(socket?.bytesWritten).toBeGreaterThan(0)
  expect(socket?.writableLength).toBeGreaterThan(16 * MiB) // it stays where it is
  early[Symbol.dispose]()
  await vi.waitFor(() => expect(sockets.size).toBe(0))
})

test('who lets go of what is read already stops nothing', async () => {
  content = Buffer.from(bytesOf({ size: 3 * MiB, seed: 3 }))
  const early = await begin()
  const reading = read(early)
  early[Symbol.dispose]()
  expect((await reading).equals(content)).toBe(true)
})

test('a second read, a range, another version and another length are asked for anew', async () => {
  content = Buffer.from(bytesOf({ size: 1000, seed: 3 }))
  using early = await begin()
  for (const options of [{ ifMatch: { etag: '"2"' } }, { wholeBytes: 7 }]) {
    await read(early, testSink(), options).catch(() => undefined)
  }
  expect(asked).toHaveLength(3)
  await read(early)
  expect(asked).toHaveLength(3)
  await read(early)
  expect(asked).toHaveLength(4)
  answer = (socket) =>
    socket.end('HTTP/1.1 206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/1000\r\n\r\nab')
  expect((await read(early, testSink(), { range: { start: 1, end: 2 } })).toString()).toBe('ab')
})

test('a read that breaks is resumed where it broke, as ever', async () => {
  content = Buffer.from(bytesOf({ size: MiB, seed: 3 }))
  answer = (socket, head) => {
    const from = Number(/range: bytes=(\d+)-/i.exec(head)?.[1] ?? 0)
    if (from === 0) return void socket.end(Buffer.concat([Buffer.from(headOf(MiB)), content.subarray(0, 300_000)]))
    const range = `Content-Range: bytes ${from}-${MiB - 1}/${MiB}`
    socket.write(`HTTP/1.1 206 Partial\r\nContent-Length: ${MiB - from}\r\nETag: "1"\r\n${range}\r\n\r\n`)
    socket.end(content.subarray(from))
  }
  using early = await begin()
  await sleep(20) // it breaks before anybody takes the bytes
  expect((await read(early)).equals(content)).toBe(true)
  expect(asked).toHaveLength(2)
})

/** Answers a range from the start by the part of that length, of a content with these validators. */
function givesParts(fields: string): (socket: Socket, head: string) => void {
  return (socket, head) => {
    const [, first = 0, last = content.length - 1] = (/range: bytes=(\d+)-(\d+)/i.exec(head) ?? []).map(Number)
    const end = Math.min(last, content.length - 1)
    const part = `Content-Length: ${end + 1 - first}\r\nContent-Range: bytes ${first}-${end}/${content.length}`
    socket.write(`HTTP/1.1 206 Partial\r\n${part}\r\n${fields}\r\n`)
    socket.end(content.subarray(first, end + 1))
  }
}

test('of a large file the first bytes can be asked for by themselves; a small one comes whole', async () => {
  content = Buffer.from(bytesOf({ size: 300_000, seed: 3 }))
  answer = givesParts('ETag: "1"\r\n')
  using early = (await beginRead(http, request(), signal, 100_000)) ?? expect.fail('no read has begun')
  expect(early.resource).toMatchObject({ contentLength: 300_000, supportsRange: true, expireInfo: { etag: '"1"' } })
  expect(early.resource.headers).not.toHaveProperty('content-range')
  const answers: unknown[] = []
  const onAnswer = (told: unknown): void => void answers.push(told)
  expect((await read(early, testSink(), { atFirst: 100_000, onAnswer })).equals(content.subarray(0, 100_000))).toBe(
    true,
  )
  expect(answers).toMatchObject([{ part: { start: 0, end: 99_999 }, totalLength: 300_000 }])
  using small = (await beginRead(http, request(), signal, 300_000)) ?? expect.fail('no read has begun')
  expect((await read(small, testSink(), { wholeBytes: 300_000 })).equals(content)).toBe(true)
  expect(asked).toHaveLength(2)
})

test('who wants the whole in one go does not go on with a read of the first bytes', async () => {
  content = Buffer.from(bytesOf({ size: 300_000, seed: 3 }))
  answer = (socket, head) => {
    if (/^range/im.test(head)) return givesParts('ETag: "1"\r\n')(socket, head)
    socket.write(headOf(content.length))
    socket.end(content)
  }
  using early = (await beginRead(http, request(), signal, 100_000)) ?? expect.fail('no read has begun')
  expect((await read(early)).equals(content)).toBe(true)
  expect(asked).toHaveLength(2)
})

test('an origin that gives the whole, or breaks in the middle of the first bytes, is read as ever', async () => {
  content = Buffer.from(bytesOf({ size: 300_000, seed: 3 }))
  using early = (await beginRead(http, request(), signal, 100_000)) ?? expect.fail('no read has begun')
  expect((await read(early, testSink(), { atFirst: 100_000 })).equals(content)).toBe(true)
  expect(asked).toHaveLength(1)
  const ranges: string[] = []
  answer = (socket, head) => {
    ranges.push(/range: (bytes=\S+)/i.exec(head)?.[1] ?? '')
    if (ranges.length > 1) return givesParts('ETag: "1"\r\n')(socket, head)
    const part = 'Content-Length: 100000\r\nContent-Range: bytes 0-99999/300000'
    socket.write(`HTTP/1.1 206 Partial\r\n${part}\r\nETag: "1"\r\n\r\n`)
    socket.end(content.subarray(0, 40_000))
  }
  const sink = testSink()
  await http.read(request(), sink, { signal, atFirst: 100_000 })
  expect(sink.bytes.equals(content.subarray(0, 100_000))).toBe(true)
  expect(ranges).toEqual(['bytes=0-99999', 'bytes=40000-99999'])
})

test('parts that could not be joined for sure, other bytes than the first, and none named are not taken', async () => {
  content = Buffer.from(bytesOf({ size: 300_000, seed: 3 }))
  const first = (): Promise<unknown> => beginRead(http, request(), signal, 100_000)
  for (const fields of ['ETag: W/"1"\r\n', '']) {
    answer = givesParts(fields)
    await expect(first()).rejects.toMatchObject({ code: 'source.not_supported' })
  }
  for (const range of ['bytes 1-100000/300000', 'bytes 0-99998/300000', 'bytes 0-99999/*', 'bytes */9', 'x']) {
    answer = (socket) =>
      socket.end(`HTTP/1.1 206 Partial\r\nContent-Length: 5\r\nETag: "1"\r\nContent-Range: ${range}\r\n\r\nabcde`)
    await expect(first()).rejects.toMatchObject({ code: 'source.broken' })
  }
  answer = (socket) => socket.end('HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n')
  await expect(first()).rejects.toMatchObject({ code: 'source.range_invalid' })
})

test('an abort, and what onAnswer throws, end the read', async () => {
  content = Buffer.alloc(64 * MiB)
  const stop = new AbortController()
  const reason = new Failure('download.cancelled', 'enough')
  const reading = read(await begin(), testSink(), { signal: stop.signal })
  stop.abort(reason)
  await expect(reading).rejects.toBe(reason)
  await expect(read(await begin(), testSink(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  const late = new Failure('source.changed', 'not that')
  const onAnswer = (): never => {
    throw late
  }
  await expect(read(await begin(), testSink(), { onAnswer })).rejects.toBe(late)
  await vi.waitFor(() => expect(sockets.size).toBe(0))
})

test('what the origin refuses is told after one try; what it leaves open has to be asked in another way', async () => {
  answer = (socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
  await expect(begin()).rejects.toMatchObject({ code: 'source.not_found' })
  answer = (socket) => socket.destroy()
  asked = []
  await expect(begin()).rejects.toMatchObject({ code: 'source.unreachable' })
  expect(asked).toHaveLength(1)
  answer = (socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')
  expect(await beginRead(http, request(), signal)).toBeUndefined()
  const file = builtInSources(settings, () => undefined).find(({ scheme }) => scheme === 'file') as Source
  expect(await beginRead(file, { url: 'file:///etc/hostname', headers: {} }, signal)).toBeUndefined()
  answer = () => undefined
  const stop = new AbortController()
  const waiting = beginRead(http, request(), stop.signal)
  stop.abort()
  await expect(waiting).rejects.toMatchObject({ code: 'download.cancelled' })
})
