import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { type ByteSink, Failure } from '#core'
import { digestOf, encodeContentPrefix, encodeError, encodeRequest, type PieceHead } from './codec.ts'
import { type FetchOptions, fetchPiece } from './fetch.ts'
import { cleanUp, Collector, eager, pieceOf, rawParent, serve, sha256, TASK } from './transfer-fixture.ts'

afterEach(cleanUp)

function ask(
  port: number,
  sink: (head: PieceHead) => ByteSink,
  options: Partial<FetchOptions> = {},
): Promise<PieceHead> {
  const { signal } = new AbortController()
  const limits = { timeoutMs: 5000, connectTimeoutMs: 2000 }
  return fetchPiece({ host: '127.0.0.1', port, taskId: TASK, number: 3, signal, ...limits, sink, ...options })
}

function prefixOf(content: Uint8Array, changes: Partial<PieceHead> = {}): Uint8Array {
  return encodeContentPrefix({ ...pieceOf(content), digest: digestOf(7), trafficType: 1, ...changes })
}

describe('a piece from host to host', () => {
  test('arrives whole, with what its parent says of it', async () => {
    const content = randomBytes(4 * 2 ** 20 + 17)
    const served: unknown[] = []
    const server = await serve(pieceOf(content), { onServed: (what) => served.push(what) })
    const sink = eager(content.length)
    const head = await ask(server.port, () => sink)
    expect(head).toEqual({
      number: 3,
      offset: 1000,
      length: content.length,
      digest: 'crc32:1475635037',
      crc32: 1_475_635_037,
      parentId: 'parent',
      trafficType: 1,
      costMs: 2000,
      createdAt: 1_693_152_000_000,
    })
    expect(sha256(sink.bytes)).toBe(sha256(content))
    await expect.poll(() => served).toMatchObject([{ taskId: TASK, number: 3, bytes: content.length }])
  })

  test('has the right bytes however slowly and unevenly they are taken', async () => {
    const content = randomBytes(1_500_000)
    const server = await serve(pieceOf(content))
    const spaces = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 })
    const every = fc.integer({ min: 1, max: 4 })
    await fc.assert(
      fc.asyncProperty(spaces, every, async (sizes, rate) => {
        const lengths = sizes.map((size) => Math.max(size, 2000))
        let count = 0
        const sink = new Collector(content.length, lengths, () => (++count % rate === 0 ? sleep(count % 3) : undefined))
        await ask(server.port, () => sink)
        expect(sink.length).toBe(content.length)
        expect(sha256(sink.bytes)).toBe(sha256(content))
      }),
      { numRuns: 25 },
    )
  })

  test('has the right bytes however its parent cuts them', async () => {
    const content = randomBytes(5000)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 8 }), async (cuts) => {
        const port = await rawParent(async (socket) => {
          socket.setNoDelay(true)
          const all = Buffer.concat([prefixOf(content), content])
          for (let at = 0, i = 0; at < all.length; i++) {
            const end = at + (cuts[i % cuts.length] ?? 1)
            socket.write(all.subarray(at, end))
            at = end
            await sleep(0)
          }
          socket.end()
        })
        const sink = new Collector(content.length, [333], (self) => (self.drains < 3 ? sleep(1) : undefined))
        await ask(port, () => sink)
        expect(sha256(sink.bytes)).toBe(sha256(content))
      }),
      { numRuns: 15 },
    )
  })

  test('reaches a stock child, which ends its own side before the content comes', async () => {
    const content = randomBytes(2_000_000)
    const server = await serve(undefined, { find: () => sleep(100, pieceOf(content)) }) // its end is here by then
    const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true })
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.end(encodeRequest(TASK, 3))
    await once(socket, 'end')
    const received = Buffer.concat(chunks)
    expect(sha256(received.subarray(-content.length))).toBe(sha256(content))
    expect(received.length - content.length).toBe(prefixOf(content, { digest: 'crc32:1475635037' }).length)
  })

  test('of no bytes is a piece', async () => {
    const server = await serve(pieceOf(new Uint8Array()))
    expect(await ask(server.port, () => eager(0))).toMatchObject({ length: 0 })
  })

  test('is taken only as far as the sink has room', async () => {
    const content = randomBytes(500_000)
    const server = await serve(pieceOf(content))
    const sink = new Collector(100_000, [50_000], () => undefined)
    await ask(server.port, () => sink)
    expect(sha256(sink.bytes)).toBe(sha256(content.subarray(0, 100_000)))
  })

  test('many at once come whole, at the rate that was set', async () => {
    const content = randomBytes(2_000_000)
    let taken = 0
    const limit = {
      take: (bytes: number) => {
        taken += bytes
        return sleep(1)
      },
    }
    const server = await serve(pieceOf(content), { limit })
    const sinks = Array.from({ length: 40 }, () => eager(content.length))
    await Promise.all(sinks.map((sink) => ask(server.port, () => sink)))
    for (const sink of sinks) expect(sha256(sink.bytes)).toBe(sha256(content))
    expect(taken).toBe(40 * content.length)
  })
})

describe('a parent that is not as it should be', () => {
  const content = Buffer.from('thirteen byte')

  async function failure(act: (socket: net.Socket) => unknown, options: Partial<FetchOptions> = {}): Promise<unknown> {
    const port = await rawParent(act)
    return ask(port, () => eager(content.length), options).catch((error: unknown) => error)
  }

  test('without the piece: piece.missing', async () => {
    const server = await serve(undefined)
    await expect(ask(server.port, () => eager(1))).rejects.toMatchObject({ code: 'piece.missing' })
  })

  test('that cannot read it: peer.unreachable, whether before the first byte or after', async () => {
    const never = await serve(undefined, { find: () => Promise.reject(new Failure('storage.failed', 'bad disk')) })
    await expect(ask(never.port, () => eager(1))).rejects.toMatchObject({
      code: 'peer.unreachable',
      message: /bad disk/,
    })
    const later = await serve({ ...pieceOf(randomBytes(2_000_000)), read: () => Promise.reject(new Error('bad disk')) })
    await expect(ask(later.port, () => eager(2_000_000))).rejects.toMatchObject({ code: 'peer.unreachable' })
  })

  test('that is not there: peer.unreachable', async () => {
    const server = await serve(undefined)
    await server[Symbol.asyncDispose]()
    await expect(ask(server.port, () => eager(1))).rejects.toMatchObject({ code: 'peer.unreachable' })
  })

  test('that falls silent, in the head or in the content: peer.unreachable', async () => {
    for (const bytes of [
      Buffer.alloc(0),
      prefixOf(content).subarray(0, 20),
      Buffer.concat([prefixOf(content), content.subarray(1)]),
    ])
      expect(await failure((socket) => socket.write(bytes), { timeoutMs: 200 })).toMatchObject({
        code: 'peer.unreachable',
        message: /silent/,
      })
  })

  test('that ends early: peer.unreachable', async () => {
    for (const bytes of [Buffer.alloc(0), prefixOf(content), Buffer.concat([prefixOf(content), content.subarray(1)])])
      expect(await failure((socket) => socket.end(bytes))).toMatchObject({ code: 'peer.unreachable' })
  })

  test('that sends another piece, or nonsense: piece.corrupt, and nothing reaches the sink', async () => {
    const junk = Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')
    for (const bytes of [prefixOf(content, { number: 4 }), junk, Buffer.from('05fe00000000', 'hex')])
      expect(await failure((socket) => socket.end(bytes))).toMatchObject({ code: 'piece.corrupt' })
  })

  test('that sends more than the piece: what is beyond is left', async () => {
    const port = await rawParent((socket) =>
      socket.write(Buffer.concat([prefixOf(content), content, randomBytes(99_999)])),
    )
    const sink = new Collector(100_000, [65_536], () => undefined)
    await ask(port, () => sink)
    expect(sink.length).toBe(content.length)
  })

  test('whose words move no cursor', async () => {
    const error = await failure((socket) => socket.end(encodeError(3, '\u001b[2Jgone')))
    expect(String(error)).toContain('gone')
    expect(String(error)).not.toContain('\u001b')
  })

  test('random answers never crash the child', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect(await failure((socket) => socket.end(bytes))).toBeInstanceOf(Failure)
      }),
      { numRuns: 40 },
    )
  })
})

describe('a child that is not as it should be', () => {
  async function closes(port: number, bytes: Uint8Array): Promise<Buffer> {
    const socket = net.connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.write(bytes)
    await once(socket, 'close')
    return Buffer.concat(chunks)
  }

  test('that asks for what is not understood is closed without a word', async () => {
    const server = await serve(pieceOf(Buffer.from('x')))
    const close = Buffer.concat([Buffer.from('05fe00000000', 'hex'), Buffer.alloc(68)])
    const cachePiece = Buffer.from(encodeRequest(TASK, 3)).fill(6, 1, 2)
    const twoRequests = Buffer.concat([encodeRequest(TASK, 3), encodeRequest(TASK, 3)])
    for (const bytes of [randomBytes(100), close, cachePiece, twoRequests])
      expect(await closes(server.port, bytes)).toHaveLength(0)
  })

  test('of more than may connect is told that the parent is busy, and the others are served', async () => {
    const content = randomBytes(1000)
    const server = await serve(pieceOf(content), { maxConnections: 2 })
    const idle = [net.connect(server.port, '127.0.0.1'), net.connect(server.port, '127.0.0.1')]
    await Promise.all(idle.map((socket) => once(socket, 'connect')))
    await expect(ask(server.port, () => eager(1000))).rejects.toMatchObject({
      code: 'peer.unreachable',
      message: expect.stringContaining('it refused (3): busy'),
    })
    for (const socket of idle) socket.destroy()
    await expect
      .poll(() =>
        ask(server.port, () => eager(1000)).then(
          () => 'served',
          () => 'refused',
        ),
      )
      .toBe('served')
  })

  test('that was told so and stays is hung up on, and so many are not even told', { timeout: 20_000 }, async () => {
    const server = await serve(undefined, { maxConnections: 0 })
    const sockets = Array.from({ length: 100 }, () => net.connect({ port: server.port, allowHalfOpen: true }))
    const told = await Promise.all(
      sockets.map(async (socket) => {
        let bytes = 0
        socket.on('error', () => undefined)
        socket.on('data', (chunk) => (bytes += chunk.length))
        await once(socket, 'end').catch(() => undefined)
        return bytes > 0
      }),
    )
    expect(told.filter(Boolean).length).toBeLessThanOrEqual(64)
    const gone = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    const nagging = setInterval(() => sockets.forEach((socket) => socket.write('more')), 50)
    await Promise.all(gone).finally(() => clearInterval(nagging))
  })

  test('that takes nothing is dropped', async () => {
    const server = await serve(pieceOf(Buffer.alloc(64 * 2 ** 20)), { idleTimeoutMs: 300 })
    const socket = net.connect(server.port, '127.0.0.1')
    socket.pause()
    socket.on('error', () => undefined)
    socket.write(encodeRequest(TASK, 3))
    await sleep(2500)
    let bytes = 0
    socket.on('data', (chunk) => (bytes += chunk.length))
    socket.resume()
    await once(socket, 'close')
    expect(bytes).toBeLessThan(64 * 2 ** 20)
  })

  test('that goes away ends the wait for its piece', async () => {
    let told = false
    const server = await serve(undefined, {
      find: (_, __, signal) =>
        new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            told = true
            resolve(undefined)
          }),
        ),
    })
    const abort = new AbortController()
    const reason = new Failure('download.cancelled', 'enough')
    const asked = ask(server.port, () => eager(1), { signal: abort.signal })
    await sleep(100)
    abort.abort(reason)
    await expect(asked).rejects.toBe(reason)
    await expect.poll(() => told).toBe(true)
  })
})

describe('the sink', () => {
  test('that refuses, cannot be written or never wants more decides how the fetch ends', async () => {
    const content = randomBytes(1_000_000)
    const server = await serve(pieceOf(content))
    const refusal = new Failure('piece.corrupt', 'no such length')
    const refusing = (): ByteSink => {
      throw refusal
    }
    await expect(ask(server.port, refusing)).rejects.toBe(refusal)
    const full = new Failure('storage.full', 'no space')
    const failing = new Collector(content.length, [65_536], () => Promise.reject(full))
    await expect(ask(server.port, () => failing)).rejects.toBe(full)
    const throwing = eager(content.length)
    throwing.filled = () => {
      throw full
    }
    await expect(ask(server.port, () => throwing)).rejects.toBe(full)
    const stuck = new Collector(content.length, [65_536], () => new Promise(() => undefined))
    const signal = AbortSignal.timeout(300)
    await expect(ask(server.port, () => stuck, { signal, timeoutMs: 50 })).rejects.toMatchObject({
      name: 'TimeoutError',
    })
  })
})
