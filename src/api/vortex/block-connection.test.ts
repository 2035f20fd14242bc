import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { BLOCK_LENGTH, type ByteSink, Failure } from '#core'
import { encodeBlocksHeader, encodeError, ERROR_CODE } from './codec.ts'
import {
  answerOf,
  askFor,
  atEnd,
  cleanUp,
  Collector,
  eager,
  open,
  rawBlockParent,
  rawParent,
  serveBlocks,
  sha256,
} from './transfer-fixture.ts'

afterEach(cleanUp)

const thirteen = Buffer.from('thirteen byte')

describe('a request', () => {
  test('asks for its sink when its first byte is due, not before', async () => {
    let second = (): void => undefined
    const port = await rawBlockParent((socket, _, index) => {
      if (index === 0) socket.write(answerOf(thirteen))
      else second = () => socket.write(answerOf(thirteen))
    })
    const { connection } = open(port)
    const due: number[] = []
    const ask = (number: number): Promise<void> => {
      const sink = (): ByteSink => {
        due.push(number)
        return eager(13)
      }
      return connection.ask(askFor(13, { number, sink }))
    }
    const [first, later] = [ask(1), ask(2)]
    await first
    await sleep(50)
    expect(due).toEqual([1])
    expect(connection.waiting).toBe(1)
    second()
    await later
    expect(due).toEqual([1, 2])
  })

  test('that cannot be is refused by itself', async () => {
    const { connection, broken } = open((await serveBlocks([thirteen])).port)
    await expect(connection.ask(askFor(13, { taskId: 'short' }))).rejects.toMatchObject({ code: 'usage.invalid' })
    await expect(connection.ask(askFor(0))).rejects.toMatchObject({ code: 'usage.invalid' })
    const reason = new Failure('download.cancelled', 'enough')
    await expect(connection.ask(askFor(13, { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason)
    await connection.ask(askFor(13))
    expect(broken).toEqual([])
  })

  test('beyond what a parent lets wait is held back until there is room', async () => {
    const { connection } = open((await serveBlocks([thirteen])).port)
    const asked = Array.from({ length: 500 }, () => connection.ask(askFor(13)))
    expect(connection.waiting).toBe(500)
    await Promise.all(asked)
  })

  test('whose sink takes less than it asked for is answered, and so is the next', async () => {
    const content = randomBytes(400_000)
    const { connection } = open((await serveBlocks([content])).port)
    const [part, all] = [new Collector(100_000, [50_000], () => undefined), eager(content.length)]
    await Promise.all([
      connection.ask(askFor(content.length, { sink: () => part })),
      connection.ask(askFor(content.length, { sink: () => all })),
    ])
    expect(part.length).toBe(100_000)
    expect(part.bytes.equals(content.subarray(0, 100_000))).toBe(true)
    expect(sha256(all.bytes)).toBe(sha256(content))
  })

  test('whose sink is not to be had is thrown away, and the next is answered', async () => {
    const content = randomBytes(400_000)
    const { connection, broken } = open((await serveBlocks([content])).port)
    const refusal = new Failure('download.cancelled', 'these came from elsewhere')
    const refusing = (): ByteSink => {
      throw refusal
    }
    const sink = eager(content.length)
    const refused = connection.ask(askFor(content.length, { sink: refusing }))
    const next = connection.ask(askFor(content.length, { sink: () => sink }))
    await expect(refused).rejects.toBe(refusal)
    await next
    expect(sha256(sink.bytes)).toBe(sha256(content))
    expect(broken).toEqual([])
  })

  test('whose sink fails breaks the connection', async () => {
    const content = randomBytes(400_000)
    const server = await serveBlocks([content])
    const full = new Failure('storage.full', 'no space')
    const throwing = eager(content.length)
    throwing.filled = () => {
      throw full
    }
    const spaceless = eager(content.length)
    spaceless.space = () => {
      throw full
    }
    const failing = new Collector(content.length, [65_536], () => Promise.reject(full))
    for (const sink of [throwing, spaceless, failing]) {
      const { connection, broken } = open(server.port)
      const first = connection.ask(askFor(content.length, { sink: () => sink }))
      const second = connection.ask(askFor(content.length))
      await expect(first).rejects.toBe(full)
      await expect(second).rejects.toMatchObject({ code: 'peer.unreachable', cause: full })
      expect(broken).toEqual([full])
      await expect(connection.ask(askFor(content.length))).rejects.toMatchObject({ code: 'peer.unreachable' })
    }
  })

  test('waits for its sink before the next is read, also behind its last byte', async () => {
    const { connection } = open((await serveBlocks([thirteen, thirteen])).port)
    let drain = (): void => undefined
    const slow = new Collector(13, [13], () => new Promise((resolve) => (drain = resolve)))
    let due = false
    const first = connection.ask(askFor(13, { sink: () => slow }))
    const sink = (): ByteSink => {
      due = true
      return eager(13)
    }
    const second = connection.ask(askFor(13, { number: 1, sink }))
    await first
    await sleep(50)
    expect(due).toBe(false)
    drain()
    await second
  })
})

describe('a request whose signal ends it', () => {
  const reason = new Failure('download.cancelled', 'another was faster')

  test('before its answer begins leaves the others as they are', async () => {
    let go = (): void => undefined
    const contents = [1, 2, 3].map(() => randomBytes(300_000))
    let connections = 0
    const port = await rawBlockParent((socket, _, index) => {
      if (index === 0) connections += 1
      if (index === 2) go = () => socket.write(Buffer.concat(contents.map(answerOf)))
    })
    const { connection } = open(port)
    const abort = new AbortController()
    const sinks = contents.map(({ length }) => eager(length))
    const due: number[] = []
    const asked = sinks.map((sink, i) => {
      const give = (): ByteSink => {
        due.push(i)
        return sink
      }
      return connection.ask(askFor(300_000, { sink: give, signal: i === 1 ? abort.signal : undefined }))
    })
    await expect.poll(() => connections).toBe(1)
    abort.abort(reason)
    await expect(asked[1]).rejects.toBe(reason)
    go()
    await Promise.all([asked[0], asked[2]])
    expect(due).toEqual([0, 2])
    for (const i of [0, 2]) expect(contents[i]?.equals(sinks[i]?.bytes ?? thirteen)).toBe(true)
  })

  test('in the middle of its answer is not written into any more, and the others are asked for again', async () => {
    const content = randomBytes(300_000)
    let connections = 0
    const port = await rawParent((socket) => {
      connections += 1
      if (connections === 1) socket.write(answerOf(content).subarray(0, 100_000))
      else socket.write(Buffer.concat([answerOf(content), answerOf(content)]))
    })
    const { connection, broken } = open(port)
    const abort = new AbortController()
    const [left, next, last] = [eager(300_000), eager(300_000), eager(300_000)]
    const asked = connection.ask(askFor(300_000, { sink: () => left, signal: abort.signal }))
    const others = [next, last].map((sink) => connection.ask(askFor(300_000, { sink: () => sink })))
    await expect.poll(() => left.length).toBe(100_000 - 6)
    abort.abort(reason)
    await expect(asked).rejects.toBe(reason)
    await Promise.all(others)
    expect(left.length).toBe(100_000 - 6)
    for (const sink of [next, last]) expect(sha256(sink.bytes)).toBe(sha256(content))
    expect([connections, broken]).toEqual([2, []])
  })

  test('and all others, too, stops the parent at once; the connection is good for more', async () => {
    const sockets: net.Socket[] = []
    const port = await rawParent((socket) => {
      sockets.push(socket)
      if (sockets.length > 1) socket.write(answerOf(thirteen))
    })
    const { connection, broken } = open(port)
    const abort = new AbortController()
    const asked = [1, 2, 3].map(() => connection.ask(askFor(13, { signal: abort.signal })))
    await expect.poll(() => sockets.length).toBe(1)
    const closed = new Promise((resolve) => sockets[0]?.once('close', resolve))
    abort.abort(reason)
    for (const one of asked) await expect(one).rejects.toBe(reason)
    expect(connection.waiting).toBe(0)
    await closed
    expect(sockets).toHaveLength(1)
    await connection.ask(askFor(13))
    expect(broken).toEqual([])
  })

  test('with all others, in the middle of its answer, opens no other connection for them', async () => {
    let connections = 0
    const server = net.createServer((socket) => {
      connections += 1
      socket.on('error', () => undefined)
      socket.write(answerOf(thirteen).subarray(0, 10))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    atEnd(() => server.close())
    const { port } = server.address() as net.AddressInfo
    const { connection } = open(port)
    const abort = new AbortController()
    const sink = eager(13)
    const asked = [1, 2, 3].map(() => connection.ask(askFor(13, { sink: () => sink, signal: abort.signal })))
    await expect.poll(() => sink.length).toBe(4)
    abort.abort(reason)
    for (const one of asked) await expect(one).rejects.toBe(reason)
    await sleep(100)
    expect([connections, connection.waiting]).toEqual([1, 0])
  })

  test('while it is held back is never asked', async () => {
    const numbers: number[] = []
    let go = (): void => undefined
    const port = await rawBlockParent((socket, { number }) => {
      numbers.push(number)
      go = () => socket.write(Buffer.concat(numbers.splice(0).map(() => answerOf(thirteen))))
    })
    const { connection } = open(port)
    const abort = new AbortController()
    const asked = Array.from({ length: 70 }, (_, number) =>
      connection.ask(askFor(13, { number, signal: number === 66 ? abort.signal : undefined })),
    )
    await expect.poll(() => numbers.length).toBe(64)
    abort.abort(reason)
    await expect(asked[66]).rejects.toBe(reason)
    go()
    await expect.poll(() => numbers).toEqual([64, 65, 67, 68, 69])
    go()
    await Promise.all(asked.toSpliced(66, 1))
  })

  test('before the connection is up is never asked', async () => {
    const numbers: number[] = []
    const port = await rawBlockParent((socket, { number }) => {
      numbers.push(number)
      socket.write(answerOf(thirteen))
    })
    const { connection } = open(port)
    const abort = new AbortController()
    const gone = connection.ask(askFor(13, { number: 1, signal: abort.signal }))
    abort.abort(reason)
    await expect(gone).rejects.toBe(reason)
    await connection.ask(askFor(13, { number: 2 }))
    expect(numbers).toEqual([2])
  })
})

describe('a connection', () => {
  test('that is closed stops the parent at once, and what waits is rejected', async () => {
    const content = Buffer.alloc(64 * 2 ** 20)
    let served = 0
    const server = await serveBlocks([content], { onServed: () => (served += 1) })
    const { connection, broken } = open(server.port)
    const slow = new Collector(content.length, [65_536], () => new Promise(() => undefined))
    const asked = [slow, eager(1)].map((sink) => connection.ask(askFor(content.length, { sink: () => sink })))
    await expect.poll(() => slow.drains).toBe(1)
    connection.close()
    for (const one of asked) await expect(one).rejects.toMatchObject({ code: 'download.cancelled' })
    expect([connection.closed, connection.waiting, broken]).toEqual([true, 0, []])
    await expect(connection.ask(askFor(13))).rejects.toMatchObject({ code: 'download.cancelled' })
    await server[Symbol.asyncDispose]()
    expect(served).toBe(0)
  })

  test('that is closed for a reason rejects with that', async () => {
    const { connection } = open(await rawParent(() => undefined))
    const asked = connection.ask(askFor(13))
    const reason = new Failure('peer.unreachable', 'too slow')
    connection.close(reason)
    await expect(asked).rejects.toBe(reason)
  })

  test('that the parent lets go of while nothing is asked is opened again, also for a request that meets the end', async () => {
    const asked = new Map<net.Socket, number>()
    const port = await rawBlockParent((socket) => {
      const times = (asked.get(socket) ?? 0) + 1
      asked.set(socket, times)
      if (asked.size === 1 && times === 2) return socket.resetAndDestroy()
      socket.write(answerOf(thirteen))
      return asked.size === 2 && times === 2 && socket.end()
    })
    const { connection, broken } = open(port)
    await connection.ask(askFor(13))
    await Promise.all([connection.ask(askFor(13)), connection.ask(askFor(13))]) // they meet the reset
    await sleep(100)
    await Promise.all([connection.ask(askFor(13)), connection.ask(askFor(13))])
    expect([asked.size, broken]).toEqual([3, []])
  })

  test('that the parent lets go of again is broken', async () => {
    let connections = 0
    const port = await rawParent((socket) => {
      connections += 1
      if (connections > 1) return socket.destroy()
      socket.write(answerOf(thirteen))
      return socket.once('data', () => socket.destroy())
    })
    const { connection, broken } = open(port)
    await connection.ask(askFor(13))
    await expect(connection.ask(askFor(13))).rejects.toMatchObject({ code: 'peer.unreachable' })
    expect([connections, broken.length]).toEqual([2, 1])
  })

  test('that ends after the first byte of an answer is broken, whatever went well before', async () => {
    let connections = 0
    const port = await rawParent((socket) => {
      connections += 1
      socket.write(answerOf(thirteen))
      socket.once('data', () => socket.end(answerOf(thirteen).subarray(0, 10)))
    })
    const { connection } = open(port)
    await connection.ask(askFor(13))
    await expect(connection.ask(askFor(13))).rejects.toMatchObject({
      code: 'peer.unreachable',
      message: expect.stringMatching(/closed the connection 9 of 13 bytes too early/),
    })
    expect(connections).toBe(1)
  })
})

describe('a parent that is silent', () => {
  test('is told of once per silence, and given up in the end', async () => {
    const port = await rawBlockParent((socket, _, index) => {
      if (index === 0) setTimeout(() => socket.write(encodeBlocksHeader(13)), 400)
    })
    const opened = open(port, { silentMs: 100, timeoutMs: 800 })
    const from = performance.now()
    await expect(opened.connection.ask(askFor(13))).rejects.toMatchObject({
      code: 'peer.unreachable',
      message: /silent for 800 ms/,
    })
    expect(performance.now() - from).toBeGreaterThan(1100)
    expect(opened.silent).toBe(2)
    expect(opened.broken).toMatchObject([{ code: 'peer.unreachable' }])
  })

  test('when nothing is asked, or our own sink waits, is not silent', async () => {
    const opened = open((await serveBlocks([randomBytes(300_000)])).port, { silentMs: 50, timeoutMs: 100 })
    await opened.connection.ask(askFor(300_000))
    await sleep(250)
    let turn = 0
    const slow = new Collector(300_000, [65_536], () => (turn++ === 1 ? sleep(300) : undefined))
    await opened.connection.ask(askFor(300_000, { sink: () => slow }))
    expect([opened.silent, opened.broken]).toEqual([0, []])
  })

  test('because it is not there cannot be reached, at once', async () => {
    const server = await serveBlocks([])
    await server[Symbol.asyncDispose]()
    const { connection, broken } = open(server.port)
    const asked = [connection.ask(askFor(13)), connection.ask(askFor(13))]
    for (const one of asked) await expect(one).rejects.toMatchObject({ code: 'peer.unreachable' })
    expect(broken).toHaveLength(1)
  })

  test('because the connection does not come up is silent first, and then given up', async () => {
    const port = await deafParent()
    const opened = open(port, { connectTimeoutMs: 600, silentMs: 100 })
    const unasked = open(port, { connectTimeoutMs: 600, silentMs: 100 })
    const asked = opened.connection.ask(askFor(13))
    await expect(asked).rejects.toMatchObject({ code: 'peer.unreachable', message: /no connection within 600 ms/ })
    await expect.poll(() => unasked.broken).toMatchObject([{ code: 'peer.unreachable' }])
    expect([opened.silent, unasked.silent]).toEqual([1, 0])
    await expect(opened.connection.ask(askFor(13))).rejects.toMatchObject({ code: 'peer.unreachable' })
  })
})

/** A parent whose process stands still, with as many connections waiting as its kernel takes. */
async function deafParent(): Promise<number> {
  const worker = new Worker(
    `const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => {
      require('node:worker_threads').parentPort.postMessage(server.address().port)
      setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000), 10)
    })`,
    { eval: true },
  )
  atEnd(() => worker.terminate())
  const [port] = (await once(worker, 'message')) as [number]
  await sleep(100)
  const fillers = Array.from({ length: 8 }, () => net.connect(port, '127.0.0.1').on('error', () => undefined))
  atEnd(() => fillers.forEach((socket) => socket.destroy()))
  await sleep(100)
  return port
}

describe('a hostile parent', () => {
  async function failure(bytes: Uint8Array): Promise<unknown> {
    let child: net.Socket | undefined
    const port = await rawParent((socket) => {
      child = socket
      socket.write(bytes)
    })
    const { connection, broken } = open(port, { timeoutMs: 300 })
    const sink = eager(13)
    const error = await connection.ask(askFor(13, { sink: () => sink })).catch((thrown: unknown) => thrown)
    expect(broken).toHaveLength(1)
    expect(connection.closed).toBe(true)
    await expect.poll(() => child?.destroyed).toBe(true)
    return error
  }

  test('that sends another length, kind or protocol is piece.corrupt', async () => {
    const other = [
      encodeBlocksHeader(14),
      encodeBlocksHeader(0),
      Buffer.from('05fe00000000', 'hex'),
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      Buffer.from('ffff00000000', 'hex'), // an error without a code
      Buffer.from('ffffffffffff', 'hex'), // an error of 4 GiB
    ]
    for (const bytes of other) expect(await failure(bytes)).toMatchObject({ code: 'piece.corrupt' })
  })

  test('that refuses is peer.unreachable, with words that move no cursor', async () => {
    const error = await failure(encodeError(ERROR_CODE.unknown, '\u001B[2Jbusy'))
    expect(error).toMatchObject({ code: 'peer.unreachable', message: /refused \(0\).*busy/ })
    expect(String(error)).not.toContain('\u001B')
  })

  test('that answers what nobody asked for is hung up on', async () => {
    for (const more of [answerOf(thirteen), encodeError(ERROR_CODE.notFound, 'no'), randomBytes(100_000)]) {
      const port = await rawParent((socket) => socket.write(Buffer.concat([answerOf(thirteen), more])))
      const { connection, broken } = open(port)
      const sink = eager(13)
      await connection.ask(askFor(13, { sink: () => sink }))
      expect(sink.bytes.equals(thirteen)).toBe(true)
      await expect.poll(() => broken.length).toBe(1)
      expect(broken[0]).toBeInstanceOf(Failure)
      await expect(connection.ask(askFor(13))).rejects.toMatchObject({ code: 'peer.unreachable' })
    }
  })

  test('that sends errors without an end ends with the first that nobody asked for', async () => {
    const refusal = encodeError(ERROR_CODE.notFound, 'not here')
    const port = await rawParent((socket) => {
      const send = (): void => {
        while (!socket.destroyed && socket.write(refusal));
      }
      socket.on('drain', send)
      send()
    })
    const { connection, broken } = open(port)
    const asked = [1, 2, 3].map(() => connection.ask(askFor(13)))
    for (const one of asked) await expect(one).rejects.toMatchObject({ code: 'piece.missing' })
    await expect.poll(() => broken).toMatchObject([{ code: 'peer.unreachable' }])
  })

  test('crashes nothing with random answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const port = await rawParent((socket) => socket.end(bytes))
        const { connection } = open(port)
        const error = await connection.ask(askFor(BLOCK_LENGTH)).catch((thrown: unknown) => thrown)
        expect(error).toBeInstanceOf(Failure)
        connection.close()
      }),
      { numRuns: 60 },
    )
  })
})
