import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { BLOCK_LENGTH, Failure } from '#core'
import { decodeError, encodeBlocksRequest, encodeRequest, ERROR_CODE, HEADER_LENGTH } from './codec.ts'
import { fetchPiece } from './fetch.ts'
import type { Served, ServedBlocks } from './served.ts'
import {
  answerOf,
  askFor,
  cleanUp,
  Collector,
  eager,
  open,
  pieceOf,
  rawBlockParent,
  serve,
  serveBlocks,
  sha256,
  TASK,
} from './transfer-fixture.ts'

afterEach(cleanUp)

const span = { taskId: TASK, number: 0, first: 0, count: 1 }

describe('blocks from host to host', () => {
  test('arrive whole over one connection, in the order in which they were asked for', async () => {
    const contents = Array.from({ length: 5 }, (_, i) => randomBytes(i === 4 ? 777 : 3 * BLOCK_LENGTH + i))
    const served: Served[] = []
    const server = await serveBlocks(contents, { onServed: (what) => served.push(what) })
    const { connection } = open(server.port)
    const order: number[] = []
    await Promise.all(
      contents.map(async (content, number) => {
        const sink = eager(content.length)
        await connection.ask(askFor(content.length, { number, sink: () => sink }))
        order.push(number)
        expect(sha256(sink.bytes)).toBe(sha256(content))
      }),
    )
    expect(order).toEqual([0, 1, 2, 3, 4])
    expect(connection.waiting).toBe(0)
    await expect.poll(() => served.length).toBe(5)
    expect(served.map(({ number, blocks, bytes }) => [number, blocks, bytes])).toEqual(
      contents.map(({ length }, number) => [number, Math.ceil(length / BLOCK_LENGTH), length]),
    )
    expect(new Set(served.map(({ peer }) => peer)).size).toBe(1)
  })

  test('may be any of their piece', async () => {
    const content = randomBytes(5 * BLOCK_LENGTH + 9)
    const { connection } = open((await serveBlocks([content])).port)
    const [middle, last] = [eager(2 * BLOCK_LENGTH), eager(9)]
    await Promise.all([
      connection.ask(askFor(9, { first: 5, sink: () => last })),
      connection.ask(askFor(2 * BLOCK_LENGTH, { first: 2, sink: () => middle })),
    ])
    expect(last.bytes.equals(content.subarray(5 * BLOCK_LENGTH))).toBe(true)
    expect(sha256(middle.bytes)).toBe(sha256(content.subarray(2 * BLOCK_LENGTH, 4 * BLOCK_LENGTH)))
  })

  test('are the right ones however slowly and unevenly they are taken', async () => {
    const contents = [randomBytes(900_000), randomBytes(1), randomBytes(600_000)]
    const { connection } = open((await serveBlocks(contents)).port)
    const spaces = fc.array(fc.integer({ min: 2000, max: 200_000 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(spaces, fc.integer({ min: 1, max: 4 }), async (lengths, rate) => {
        let count = 0
        const pace = (): Promise<void> | undefined => (++count % rate === 0 ? sleep(count % 3) : undefined)
        const sinks = contents.map(({ length }) => new Collector(length, lengths, pace))
        await Promise.all(
          sinks.map((sink, number) => connection.ask(askFor(sink.bytes.length, { number, sink: () => sink }))),
        )
        expect(sinks.map(({ bytes }) => sha256(bytes))).toEqual(contents.map(sha256))
      }),
      { numRuns: 25 },
    )
  })

  test('are the right ones however their parent cuts them', async () => {
    const contents = [randomBytes(3000), randomBytes(1), randomBytes(2000)]
    const all = Buffer.concat(contents.map(answerOf))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }), async (cuts) => {
        const port = await rawBlockParent(async (socket, _, index) => {
          if (index > 0) return
          socket.setNoDelay(true)
          for (let at = 0, i = 0; at < all.length; i++) {
            const end = at + (cuts[i % cuts.length] ?? 1)
            socket.write(all.subarray(at, end))
            at = end
            await sleep(0)
          }
        })
        const { connection } = open(port)
        const slow = (self: Collector): Promise<void> | undefined => (self.drains < 3 ? sleep(1) : undefined)
        const sinks = contents.map(({ length }) => new Collector(length, [333], slow))
        await Promise.all(sinks.map((sink) => connection.ask(askFor(sink.bytes.length, { sink: () => sink }))))
        expect(sha256(Buffer.concat(sinks.map(({ bytes }) => bytes)))).toBe(sha256(Buffer.concat(contents)))
      }),
      { numRuns: 15 },
    )
  })

  test('that are not there end their request only', async () => {
    const content = randomBytes(BLOCK_LENGTH)
    const { connection, broken } = open((await serveBlocks([content])).port)
    const [there, missing, again] = await Promise.allSettled([
      connection.ask(askFor(BLOCK_LENGTH)),
      connection.ask(askFor(BLOCK_LENGTH, { number: 7 })),
      connection.ask(askFor(BLOCK_LENGTH)),
    ])
    expect([there.status, again.status]).toEqual(['fulfilled', 'fulfilled'])
    expect(missing).toMatchObject({ reason: { code: 'piece.missing' } })
    expect(broken).toEqual([])
    await connection.ask(askFor(BLOCK_LENGTH))
  })

  test('that cannot be looked for end the connection, with the reason', async () => {
    const server = await serveBlocks([], {
      findBlocks: () => Promise.reject(new Failure('storage.failed', 'bad disk')),
    })
    const { connection, broken } = open(server.port)
    const asked = [connection.ask(askFor(1)), connection.ask(askFor(1))]
    for (const { reason } of (await Promise.allSettled(asked)) as PromiseRejectedResult[])
      expect(reason).toMatchObject({ code: 'peer.unreachable', message: /refused \(3\).*bad disk/ })
    expect(broken).toMatchObject([{ code: 'peer.unreachable' }])
  })

  test('that cannot be read end the connection', async () => {
    const unreadable = { ...pieceOf(randomBytes(3 * BLOCK_LENGTH)), read: () => Promise.reject(new Error('bad disk')) }
    const server = await serveBlocks([], { findBlocks: () => Promise.resolve(unreadable) })
    await expect(open(server.port).connection.ask(askFor(unreadable.length))).rejects.toMatchObject({
      code: 'peer.unreachable',
    })
  })

  test('are sent at the rate that was set', async () => {
    let taken = 0
    const limit = {
      take: (bytes: number) => {
        taken += bytes
        return sleep(1)
      },
    }
    const content = randomBytes(1_000_000)
    const server = await serveBlocks([content], { limit })
    const connections = Array.from({ length: 40 }, () => open(server.port).connection)
    await Promise.all(connections.flatMap((connection) => [1, 2].map(() => connection.ask(askFor(content.length)))))
    expect(taken).toBe(80 * content.length)
  })

  test('are read ahead while those before are on their way, but no further than one buffer', async () => {
    const read: number[] = []
    const server = await serveBlocks([], {
      findBlocks: (_, number, __, count) =>
        Promise.resolve({
          length: count * BLOCK_LENGTH,
          read: (_position, target) => {
            read.push(number)
            return Promise.resolve(target.length)
          },
        }),
    })
    const socket = net.connect(server.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.pause() // the kernels' buffers take some, and then nothing goes on
    for (let number = 0; number < 64; number++) socket.write(encodeBlocksRequest({ ...span, number, count: 8 }))
    let before = -1
    while (read.length !== before) {
      before = read.length
      await sleep(200)
    }
    expect(before).toBeLessThan(64 * 8)
    let bytes = 0
    socket.on('data', (chunk) => (bytes += chunk.length))
    socket.resume()
    const all = 64 * (HEADER_LENGTH + 8 * BLOCK_LENGTH)
    await expect.poll(() => bytes, { timeout: 20_000 }).toBe(all)
    expect(read).toEqual(Array.from({ length: 64 * 8 }, (_, i) => Math.floor(i / 8)))
    socket.destroy()
  })
})

describe('a child that asks for blocks', () => {
  /** What the parent sent until it closed. */
  async function closes(port: number, bytes: Uint8Array): Promise<Buffer> {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.once('end', () => socket.end())
    socket.write(bytes)
    await once(socket, 'close')
    return Buffer.concat(chunks)
  }

  const never = { findBlocks: () => new Promise<undefined>(() => undefined) }

  test('that none can have, or of a parent that gives none, is closed without a word', async () => {
    const server = await serveBlocks([randomBytes(10)])
    for (const wrong of [{ count: 0 }, { first: 128 }, { first: 120, count: 9 }, { count: 2 ** 32 - 1 }])
      expect(await closes(server.port, encodeBlocksRequest({ ...span, ...wrong }))).toHaveLength(0)
    const stock = await serve(undefined)
    expect(await closes(stock.port, encodeBlocksRequest(span))).toHaveLength(0)
  })

  test('and for a piece, too, on one connection, is closed', async () => {
    const server = await serveBlocks([], never)
    const both = [encodeBlocksRequest(span), encodeRequest(TASK, 0)]
    expect(await closes(server.port, Buffer.concat(both))).toHaveLength(0)
    expect(await closes(server.port, Buffer.concat(both.toReversed()))).toHaveLength(0)
  })

  test('far ahead is closed', async () => {
    const server = await serveBlocks([], never)
    const requests = Array<Uint8Array>(66).fill(encodeBlocksRequest(span)) // one is looked for, 64 wait
    expect(await closes(server.port, Buffer.concat(requests))).toHaveLength(0)
  })

  test('and ends its side is answered all the same', async () => {
    const content = randomBytes(1000)
    const findBlocks = (): Promise<ServedBlocks> => sleep(100, pieceOf(content)) // its end is here by then
    const server = await serveBlocks([], { findBlocks, keepIdleMs: 3_600_000 })
    const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.end(Buffer.concat([encodeBlocksRequest(span), encodeBlocksRequest(span)]))
    await once(socket, 'end')
    const answers = Buffer.concat(chunks)
    expect(answers).toHaveLength(2 * (HEADER_LENGTH + content.length))
    expect(answers.subarray(-content.length).equals(content)).toBe(true)
  })

  test('asks in any cuts', async () => {
    const server = await serveBlocks([randomBytes(10)])
    const socket = net.connect({ port: server.port, host: '127.0.0.1', noDelay: true })
    let bytes = 0
    socket.on('data', (chunk) => (bytes += chunk.length))
    const requests = Buffer.concat([encodeBlocksRequest(span), encodeBlocksRequest(span), encodeBlocksRequest(span)])
    for (let at = 0; at < requests.length; at += 50) {
      socket.write(requests.subarray(at, at + 50))
      await sleep(2)
    }
    await expect.poll(() => bytes).toBe(3 * (HEADER_LENGTH + 10))
    socket.destroy()
  })

  test('and takes no answer is dropped', async () => {
    const content = Buffer.alloc(64 * 2 ** 20)
    const server = await serveBlocks([content], { idleTimeoutMs: 300 })
    const socket = net.connect(server.port, '127.0.0.1')
    socket.pause()
    socket.on('error', () => undefined)
    socket.write(encodeBlocksRequest({ ...span, count: 128 }))
    await sleep(2500)
    let bytes = 0
    socket.on('data', (chunk) => (bytes += chunk.length))
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(bytes).toBeLessThan(content.length)
  })

  test('and for nothing more after a while is let go of', async () => {
    const server = await serveBlocks([randomBytes(10)], { keepIdleMs: 100 })
    const answer = await closes(server.port, encodeBlocksRequest(span))
    expect(answer).toHaveLength(HEADER_LENGTH + 10)
  })

  test('and for nothing more makes room for others, the longest idle first', async () => {
    const content = randomBytes(10)
    const server = await serveBlocks([content], { maxConnections: 2, find: () => Promise.resolve(pieceOf(content)) })
    const idle = async (): Promise<net.Socket> => {
      const socket = net.connect(server.port, '127.0.0.1')
      socket.write(encodeBlocksRequest(span))
      await once(socket, 'data')
      await sleep(50) // the parent counts it as idle a moment after its last byte
      return socket
    }
    const [first, second] = [await idle(), await idle()]
    const closed = once(first, 'close')
    const { signal } = new AbortController()
    const at = {
      host: '127.0.0.1',
      port: server.port,
      taskId: TASK,
      number: 3,
      timeoutMs: 5000,
      connectTimeoutMs: 5000,
    }
    await fetchPiece({ ...at, signal, sink: () => eager(10) })
    await closed
    second.write(encodeBlocksRequest(span))
    await once(second, 'data')
    second.destroy()
  })

  test('and is being answered makes no room: others are told that the parent is busy', async () => {
    let asked = 0
    const findBlocks = (): Promise<ServedBlocks | undefined> =>
      ++asked === 1 ? Promise.resolve(pieceOf(randomBytes(10))) : never.findBlocks()
    const server = await serveBlocks([], { maxConnections: 1, findBlocks })
    const socket = net.connect(server.port, '127.0.0.1')
    socket.write(encodeBlocksRequest(span))
    await once(socket, 'data')
    await sleep(50) // it was idle for a moment
    socket.write(encodeBlocksRequest(span))
    await expect.poll(() => asked).toBe(2)
    const { connection, broken } = open(server.port)
    await expect(connection.ask(askFor(1))).rejects.toMatchObject({ code: 'peer.unreachable', message: /busy/ })
    expect(broken).toHaveLength(1)
    expect(socket.destroyed).toBe(false)
    socket.destroy()
  })

  test('and goes away ends the search for them', async () => {
    let search: AbortSignal | undefined
    const server = await serveBlocks([], {
      findBlocks: (_, __, ___, ____, signal) => {
        search = signal
        return new Promise(() => undefined)
      },
    })
    const { connection } = open(server.port)
    const asked = connection.ask(askFor(1))
    await expect.poll(() => search).toBeDefined()
    expect(search?.aborted).toBe(false)
    connection.close()
    await expect(asked).rejects.toMatchObject({ code: 'download.cancelled' })
    await expect.poll(() => search?.aborted).toBe(true)
  })

  test('that cannot be looked for is told why, and nothing else it asks is heard', async () => {
    let asked = 0
    const findBlocks = (): Promise<undefined> => {
      asked += 1
      return Promise.reject(new Failure('storage.failed', 'bad disk'))
    }
    const server = await serveBlocks([], { findBlocks })
    const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
    const many = Buffer.concat(Array<Uint8Array>(64).fill(encodeBlocksRequest(span)))
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      socket.write(many)
    })
    socket.write(many)
    await once(socket, 'end')
    await sleep(50)
    socket.end()
    await once(socket, 'close')
    expect(decodeError(Buffer.concat(chunks).subarray(HEADER_LENGTH))).toEqual({
      code: ERROR_CODE.internal,
      message: 'bad disk',
    })
    expect(asked).toBe(1)
  })
})
