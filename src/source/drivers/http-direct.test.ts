import { createServer, type Server, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import type { ByteSink } from '#core'
import { bytesOf } from '#devnet'
import { abortableSink } from '../abort.ts'
import type { PourableBody } from '../pour-body.ts'
import { testSink } from '../test-sink.ts'
import type { HttpAnswer } from './http-answer.ts'
import { directSender } from './http-direct.ts'
import { type Send, sender } from './http-exchange.ts'
import { parsePlainHead } from './http-head.ts'

const parsing = sender({ maxConnections: 64, maxRedirects: 0, ca: undefined, insecure: [] })
const never: Send = () => Promise.reject(new Error('nothing else may be asked'))
const direct = directSender(never, 64)
const servers: Server[] = []
const sockets = new Set<Socket>()

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve))
})

async function listen(answer: (socket: Socket) => void): Promise<URL> {
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.once('data', () => answer(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push(server)
  const address = server.address()
  return new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/file`)
}

function get(send: Send, url: URL, signal = new AbortController().signal): Promise<HttpAnswer> {
  return send({ method: 'GET', url, headers: {}, signal })
}

function pour(answer: HttpAnswer, sink: ByteSink): Promise<number> {
  return (answer.body as unknown as PourableBody).pour(sink)
}

const tick = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('property: whatever the sizes of chunks, spaces and rests, the bytes arrive as they are', async () => {
  const arbitrary = fc.record({
    size: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 150_000 })),
    chunks: fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 8 }),
    spaces: fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 3, maxLength: 8 }),
    rests: fc.array(fc.option(fc.constantFrom(0, 1), { nil: undefined, freq: 3 }), { minLength: 1, maxLength: 8 }),
    capacity: fc.option(fc.integer({ min: 1, max: 300_000 }), { nil: undefined }),
    waitMs: fc.constantFrom(0, 0, 2),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ size, chunks, spaces, rests, capacity, waitMs }) => {
      const content = bytesOf({ size, seed: size })
      const url = await listen((socket) => void trickle(socket, content, chunks))
      const answer = await get(direct, url)
      await tick(waitMs) // bytes may wait before the body is asked for
      let turn = 0
      const sink = testSink({
        spaceBytes: () => spaces[turn++ % spaces.length] ?? 1,
        restMs: () => rests[turn % rests.length],
        ...(capacity === undefined ? {} : { capacity }),
      })
      const given = await pour(answer, sink)
      const expected = content.subarray(0, capacity)
      expect(given).toBe(expected.length)
      expect(sink.bytes.equals(expected)).toBe(true)
    }),
    { numRuns: 100 },
  )
}, 120_000)

async function trickle(socket: Socket, content: Uint8Array, chunks: readonly number[]): Promise<void> {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`)
  for (let at = 0, turn = 0; at < content.length && !socket.destroyed; turn++) {
    const length = chunks[turn % chunks.length] ?? 1
    if (!socket.write(content.subarray(at, at + length)))
      await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve))
    at += length
    if (turn % 3 === 0) await tick()
  }
  socket.end()
}

test('a slow sink holds the origin back: nothing piles up', async () => {
  let sent = 0
  const url = await listen((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
    const chunk = Buffer.alloc(256 * 1024)
    const push = (): void => {
      if (socket.destroyed) return
      sent += chunk.length
      socket.write(chunk, () => push())
    }
    setTimeout(push, 50) // not along with the head, which takes another way
  })
  const abort = new AbortController()
  const answer = await get(direct, url, abort.signal)
  const stuck = {
    ...testSink(),
    space: () => new Uint8Array(1024),
    filled: () => false,
    drained: () => new Promise<void>(() => undefined),
  }
  const pouring = pour(answer, abortableSink(stuck, abort.signal)).catch((error: unknown) => error)
  await tick(300)
  const before = sent
  await tick(300)
  expect(sent).toBe(before) // only what the kernel's buffers hold was sent
  abort.abort()
  expect(await pouring).toBeInstanceOf(Error)
})

test('after an abort no byte reaches the sink any more', async () => {
  const url = await listen((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n')
    const push = (): void => void (socket.destroyed || socket.write(Buffer.alloc(64 * 1024), () => push()))
    push()
  })
  const abort = new AbortController()
  const sink = testSink()
  const pouring = pour(await get(direct, url, abort.signal), sink).catch((error: unknown) => error)
  while (sink.bytes.length < 1e6) await tick(1)
  abort.abort()
  const { length } = sink.bytes
  expect(await pouring).toBeInstanceOf(Error)
  await tick(50)
  expect(sink.bytes.length).toBe(length)
})

test('a sink that throws ends the connection, and its error comes through', async () => {
  let closed = false
  const url = await listen((socket) => {
    socket.on('close', () => (closed = true))
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n`)
    void tick(20).then(() => socket.write(Buffer.alloc(500_000)))
  })
  const error = new Error('disk full')
  const filled = (): never => {
    throw error
  }
  await expect(pour(await get(direct, url), { ...testSink(), filled })).rejects.toBe(error)
  while (!closed) await tick(1)
})

test('bytes behind the announced length never reach the sink', async () => {
  const url = await listen((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello world'))
  const sink = testSink()
  expect(await pour(await get(direct, url), sink)).toBe(5)
  expect(sink.bytes.toString()).toBe('hello')
})

test('chunks can be had as well, one at a time', async () => {
  const content = bytesOf({ size: 1_000_000, seed: 5 })
  const url = await listen((socket) => void trickle(socket, content, [30_000, 1, 70_000]))
  const chunks: Uint8Array[] = []
  for await (const chunk of (await get(direct, url)).body) {
    chunks.push(chunk)
    if (chunks.length % 5 === 0) await tick(1)
  }
  expect(Buffer.concat(chunks).equals(content)).toBe(true)
})

test('who does not want the body after all closes the connection', async () => {
  let closed = false
  const url = await listen((socket) => {
    socket.on('close', () => (closed = true))
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n')
  })
  const answer = await get(direct, url)
  answer.body.destroy()
  while (!closed) await tick(1)
})

/** What node's parser makes of the same bytes. */
async function byNode(text: string): Promise<{ status: number; headers: unknown; body: string } | undefined> {
  const url = await listen((socket) => socket.end(Buffer.from(text, 'latin1')))
  try {
    const { status, headers, body } = await get(parsing, url)
    const chunks: Uint8Array[] = []
    for await (const chunk of body) chunks.push(chunk)
    return { status, headers, body: Buffer.concat(chunks).toString('latin1') }
  } catch {
    return undefined
  }
}

test('property: a head that is taken for plain means to node exactly the same', async () => {
  const line = fc.oneof(
    fc.constantFrom(
      'Content-Length: 5',
      'content-length: 5',
      'Content-Length:5 ',
      'Content-Length: 05',
      'Content-Length: +5',
      'Content-Length: 5, 5',
      'Transfer-Encoding: chunked',
      'Transfer-Encoding: identity',
      'Content-Encoding: gzip',
      'Content-Range: bytes 0-4/5',
      'Connection: keep-alive',
      'Connection: Upgrade',
      'ETag: "a"',
      'ETag: W/"b"',
      'X-A:',
      ' folded',
      'X A: b',
      'X-A : b',
      ': b',
      'X-Bad: a\rb',
      'X-Bad: a\nContent-Length: 3',
      'X-Bad: a\u0000b',
      'X-Obs: \u00e4',
      '',
    ),
    fc.string({ maxLength: 20, unit: 'binary-ascii' }),
  )
  const statusLine = fc.constantFrom(
    'HTTP/1.1 200 OK',
    'HTTP/1.1 206 Partial Content',
    'HTTP/1.0 200 OK',
    'HTTP/1.1 200',
    'HTTP/1.1 200 ',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/2.0 200 OK',
    'http/1.1 200 OK',
    'HTTP/1.1 100 Continue',
    'HTTP/1.1 204 No Content',
    'ICY 200 OK',
  )
  let plain = 0
  await fc.assert(
    fc.asyncProperty(statusLine, fc.array(line, { maxLength: 5 }), fc.boolean(), async (status, lines, length) => {
      const head = [status, ...(length ? ['Content-Length: 5'] : []), ...lines].join('\r\n')
      const text = `${head}\r\n\r\nhello`
      const ours = parsePlainHead(text.slice(0, text.indexOf('\r\n\r\n')))
      if (ours === undefined) return
      plain++
      const rest = text.slice(text.indexOf('\r\n\r\n') + 4)
      const theirs = await byNode(text)
      expect(theirs).toMatchObject({ status: ours.status, body: rest.slice(0, ours.length) })
      const { connection: _, ...others } = ours.headers as Record<string, string>
      expect(theirs?.headers).toMatchObject(others)
    }),
    { numRuns: 3000 },
  )
  expect(plain).toBeGreaterThan(50)
}, 120_000)
