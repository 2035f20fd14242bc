import { once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import http2 from 'node:http2'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { Failure } from '#core'
import { type Channel, openChannel } from './channel.ts'
import { clientOf } from './client.ts'
import { framed } from './frames.ts'
import { type Call, type Handlers, implement } from './implement.ts'
import { bidi, type Codec, serverStream, unary } from './method.ts'
import { type GrpcServer, type ServeOptions, serveGrpc } from './server.ts'
import { STATUS, StatusError, statusOf } from './status.ts'

const text: Codec<string> = {
  encode: (message) => ({ finish: () => Buffer.from(message) }),
  decode: (bytes) => {
    const message = Buffer.from(bytes).toString()
    if (message === 'garbage') throw new Error('no such message')
    return message
  },
}

const echoService = {
  say: unary('/test.Echo/Say', text, text, {
    check: (said) => {
      if (said === '') throw new Failure('usage.invalid', 'said is missing')
    },
    maxRequestBytes: 1000,
  }),
  count: serverStream('/test.Echo/Count', text, text),
  endless: serverStream('/test.Echo/Endless', text, text, { ignoreTimeout: true }),
  talk: bidi('/test.Echo/Talk', text, text),
} as const

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function serve(handlers: Handlers<typeof echoService>, options: Partial<ServeOptions> = {}): Promise<GrpcServer> {
  const services = [implement(echoService, handlers)]
  const server = await serveGrpc({ services, listen: { host: '127.0.0.1', port: 0 }, drainMs: 100, ...options })
  cleanups.push(() => server[Symbol.asyncDispose]())
  return server
}

function connect(address: string, options: Parameters<typeof openChannel>[1] = {}): Channel {
  const channel = openChannel(address, options)
  cleanups.push(() => channel[Symbol.asyncDispose]())
  return channel
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'grpc-'))
  cleanups.push(() => rm(directory, { recursive: true }))
  return directory
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('one question, one answer', () => {
  test('a unary call brings its answer, with the metadata it carried', async () => {
    const server = await serve({ say: (said, call) => `${said} ${call.metadata['x-name']} ${call.peer.split(':')[0]}` })
    const echo = clientOf(echoService, connect(server.address))
    expect(await echo.say('hello', { metadata: { 'x-name': 'ann' } })).toBe('hello ann 127.0.0.1')
  })

  test('many calls share one connection', async () => {
    const server = await serve({ say: (said, call) => `${said} ${call.peer}` })
    const echo = clientOf(echoService, connect(server.address))
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => echo.say(`n${i}`)))
    expect(answers.map((answer) => answer.split(' ')[0])).toEqual(Array.from({ length: 300 }, (_, i) => `n${i}`))
    expect(new Set(answers.map((answer) => answer.split(' ')[1])).size).toBe(1)
  })

  test('a Failure arrives as the same Failure', async () => {
    const server = await serve({
      say: () => {
        throw new Failure('storage.full', 'no room for 100 % of "naïve" 🐉\nsecond line')
      },
    })
    const error: unknown = await clientOf(echoService, connect(server.address))
      .say('x')
      .catch((e: unknown) => e)
    expect(error).toBeInstanceOf(Failure)
    expect(error).toMatchObject({ code: 'storage.full', message: 'no room for 100 % of "naïve" 🐉\nsecond line' })
    expect(statusOf(error)).toBe(STATUS.RESOURCE_EXHAUSTED)
  })

  test('what was not foreseen stays on the server: its log has it, the caller sees INTERNAL', async () => {
    const bugs: unknown[] = []
    const server = await serve(
      {
        say: () => {
          throw new TypeError('secret path /root')
        },
      },
      { onBug: (error) => bugs.push(error) },
    )
    const error: unknown = await clientOf(echoService, connect(server.address))
      .say('x')
      .catch((e: unknown) => e)
    expect(String(error)).not.toContain('secret')
    expect(statusOf(error)).toBe(STATUS.INTERNAL)
    expect(String(bugs)).toContain('secret')
  })

  test('a wrong, garbled or too large request is refused before the handler sees it', async () => {
    let asked = 0
    const server = await serve({
      say: (said) => {
        asked += 1
        return said
      },
    })
    const echo = clientOf(echoService, connect(server.address))
    await expect(echo.say('')).rejects.toMatchObject({ code: 'usage.invalid', message: 'said is missing' })
    expect(statusOf(await echo.say('garbage').catch((e: unknown) => e))).toBe(STATUS.INVALID_ARGUMENT)
    expect(statusOf(await echo.say('x'.repeat(2000)).catch((e: unknown) => e))).toBe(STATUS.RESOURCE_EXHAUSTED)
    expect(asked).toBe(0)
    expect(await echo.say('fine')).toBe('fine')
  })

  test('a method nobody implements is UNIMPLEMENTED', async () => {
    const server = await serve({})
    const echo = clientOf(echoService, connect(server.address))
    expect(statusOf(await echo.say('x').catch((e: unknown) => e))).toBe(STATUS.UNIMPLEMENTED)
  })

  test('a server that says nothing costs the caller its deadline, and the handler is told', async () => {
    let told: unknown
    const server = await serve({
      say: async (_, { signal }) => {
        await sleep(60_000, undefined, { signal }).catch(() => undefined)
        told = signal.reason
        return ''
      },
    })
    const echo = clientOf(echoService, connect(server.address, { unavailable: 'scheduler.unavailable' }))
    await expect(echo.say('x', { timeoutMs: 200 })).rejects.toMatchObject({
      code: expect.stringMatching(/scheduler.unavailable|download.timeout/) as string,
    })
    await expect.poll(() => told).toBeInstanceOf(Failure)
  })

  test('an abort ends the call with the reason of the signal, also while connecting', async () => {
    const server = await serve({ say: () => sleep(60_000, '', { ref: false }) })
    const echo = clientOf(echoService, connect(server.address))
    const reason = new Failure('download.cancelled', 'Ctrl-C')
    await expect(echo.say('x', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const abort = new AbortController()
    const asked = echo.say('x', { signal: abort.signal })
    await sleep(50)
    abort.abort(reason)
    await expect(asked).rejects.toBe(reason)
  })
})

describe('streams', () => {
  test('a stream brings every message in order, through a slow reader, to its end', async () => {
    const body = 'x'.repeat(10_000)
    const server = await serve({
      async *count() {
        for (let i = 0; i < 500; i++) yield `${i} ${body}`
      },
    })
    const echo = clientOf(echoService, connect(server.address))
    const seen: number[] = []
    for await (const message of echo.count('go')) {
      expect(message.length).toBeGreaterThan(10_000)
      seen.push(Number(message.split(' ')[0]))
      if (seen.length % 50 === 0) await sleep(10)
    }
    expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i))
  })

  test('a producer waits for its reader', async () => {
    let made = 0
    const server = await serve({
      async *count() {
        for (; made < 10_000; made++) yield 'x'.repeat(100_000)
      },
    })
    const echo = clientOf(echoService, connect(server.address))
    const stream = echo.count('go')
    await stream.next()
    await sleep(500)
    expect(made).toBeLessThan(200)
    await stream.return?.()
  })

  test('a reader that stops early releases the handler', async () => {
    let released = false
    const server = await serve({
      async *count(_, { signal }) {
        try {
          for (let i = 0; ; i++) {
            yield String(i)
            if (i > 10) await sleep(60_000, undefined, { signal })
          }
        } finally {
          released = true
        }
      },
    })
    const echo = clientOf(echoService, connect(server.address))
    for await (const message of echo.count('go')) if (message === '3') break
    await expect.poll(() => released).toBe(true)
  })

  test('messages before a failure arrive before the failure', async () => {
    const server = await serve({
      async *count() {
        yield 'one'
        yield 'two'
        throw new Failure('source.changed', 'another file now')
      },
    })
    const seen: string[] = []
    const reading = (async () => {
      for await (const message of clientOf(echoService, connect(server.address)).count('go')) seen.push(message)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'source.changed' })
    expect(seen).toEqual(['one', 'two'])
  })

  test('both sides of a conversation speak when they like', async () => {
    const server = await serve({
      async *talk(requests) {
        yield 'welcome'
        for await (const request of requests) yield `you said ${request}`
        yield 'bye'
      },
    })
    using call = clientOf(echoService, connect(server.address)).talk()
    expect(await call.responses.next()).toMatchObject({ value: 'welcome' })
    await call.send('a')
    expect(await call.responses.next()).toMatchObject({ value: 'you said a' })
    await call.send('b')
    call.end()
    expect(await collect(call.responses)).toEqual(['you said b', 'bye'])
    await expect(call.send('c')).rejects.toBeInstanceOf(Failure)
  })

  test('a conversation that the server ends is over for a caller that never ended its own side', async () => {
    const server = await serve({
      async *talk() {
        yield 'only this'
      },
    })
    using call = clientOf(echoService, connect(server.address)).talk()
    await call.send('a')
    expect(await collect(call.responses)).toEqual(['only this'])
  })

  test('a large message crosses whole', async () => {
    const large = 'é'.repeat(1_500_000)
    const server = await serve({
      async *talk(requests) {
        yield* requests
      },
    })
    using call = clientOf(echoService, connect(server.address)).talk()
    await call.send(large)
    call.end()
    expect(await collect(call.responses)).toEqual([large])
  })

  test('a sender waits for a server that does not read', async () => {
    const server = await serve({
      async *talk(_, { signal }) {
        await sleep(60_000, undefined, { signal })
        yield ''
      },
    })
    using call = clientOf(echoService, connect(server.address)).talk()
    let sent = 0
    const sending = (async () => {
      for (; sent < 1000; sent++) await call.send('x'.repeat(100_000))
    })().catch(() => undefined)
    await sleep(500)
    expect(sent).toBeLessThan(100)
    call[Symbol.dispose]()
    await sending
  })

  test('a caller that goes away ends the handler of its conversation', async () => {
    let reason: unknown
    const server = await serve({
      async *talk(requests, { signal }) {
        signal.addEventListener('abort', () => (reason = signal.reason))
        yield* requests
      },
    })
    const channel = connect(server.address)
    using call = clientOf(echoService, channel).talk()
    await call.send('a')
    await call.responses.next()
    await channel[Symbol.asyncDispose]()
    await expect.poll(() => reason).toMatchObject({ code: 'download.cancelled' })
    await expect(call.responses.next()).rejects.toBeInstanceOf(Failure)
  })

  test('the deadline ends a stream, but not one that ignores it', async () => {
    async function* ticks(_: string, { signal }: Call): AsyncGenerator<string> {
      for (let i = 0; i < 8 && !signal.aborted; i++) {
        yield String(i)
        await sleep(50)
      }
    }
    const server = await serve({ count: ticks, endless: ticks })
    const headers = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '150m' }
    const status = async (path: string): Promise<unknown> => {
      const session = http2.connect(`http://${server.address}`)
      cleanups.push(() => session.destroy())
      const stream = session.request({ ...headers, ':path': path })
      stream.resume()
      stream.end(framed(Buffer.from('go')))
      const [trailers] = (await once(stream, 'trailers')) as [http2.IncomingHttpHeaders]
      return trailers['grpc-status']
    }
    expect(await status('/test.Echo/Count')).toBe('4')
    expect(await status('/test.Echo/Endless')).toBe('0')
  })
})

describe('the channel', () => {
  test('a lost server is found again by the next call', async () => {
    const first = await serve({ say: () => 'first' })
    const echo = clientOf(echoService, connect(first.address, { unavailable: 'scheduler.unavailable' }))
    expect(await echo.say('x')).toBe('first')
    await first[Symbol.asyncDispose]()
    await expect(echo.say('x')).rejects.toMatchObject({ code: 'scheduler.unavailable' })
    await serve({ say: () => 'second' }, { listen: { host: '127.0.0.1', port: first.port } })
    expect(await echo.say('x')).toBe('second')
  })

  test('a socket that accepts and is silent, or is no gRPC server, costs the deadline at most', async () => {
    for (const hello of ['', 'HTTP/1.1 400 Bad Request\r\n\r\n']) {
      const sockets = new Set<net.Socket>()
      const listener = net.createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined)
        socket.write(hello)
      })
      listener.listen(0, '127.0.0.1')
      await once(listener, 'listening')
      cleanups.push(() => {
        for (const socket of sockets) socket.destroy()
        listener.close()
      })
      const { port } = listener.address() as net.AddressInfo
      const echo = clientOf(echoService, connect(`127.0.0.1:${port}`, { unavailable: 'daemon.unavailable' }))
      await expect(echo.say('x', { timeoutMs: 300 })).rejects.toMatchObject({ code: 'daemon.unavailable' })
      await expect(collect(echo.count('x', { headersTimeoutMs: 300 }))).rejects.toMatchObject({
        code: 'daemon.unavailable',
      })
    }
  })

  test('an address of no known form is refused', () => {
    for (const address of ['', 'host', 'host:0', 'host:99999', 'http://host:1', ':1'])
      expect(() => openChannel(address)).toThrow(Failure)
  })

  test('closing the server lets running calls end, and ends those that do not', async () => {
    const server = await serve(
      {
        say: async () => {
          await sleep(100)
          return 'done'
        },
        async *endless(_, { signal }) {
          yield 'begun'
          await sleep(60_000, undefined, { signal })
        },
      },
      { drainMs: 400 },
    )
    const echo = clientOf(echoService, connect(server.address))
    const endless = echo.endless('x')
    await endless.next()
    const said = echo.say('x')
    await sleep(30)
    const closed = server[Symbol.asyncDispose]()
    expect(await said).toBe('done')
    await expect(endless.next()).rejects.toMatchObject({ code: 'peer.unreachable' })
    await closed
  })
})

describe('unix sockets', () => {
  test('a socket is for its owner only, replaces a dead one, and leaves a living one alone', async () => {
    const path = join(await temporaryDirectory(), 'd.sock')
    const server = await serve({ say: (_, { peer }) => peer }, { listen: { path } })
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await clientOf(echoService, connect(`unix:${path}`)).say('x')).toBe('unix')
    await expect(serve({}, { listen: { path } })).rejects.toMatchObject({ code: 'config.invalid' })
    expect(await clientOf(echoService, connect(`unix:${path}`)).say('x')).toBe('unix')
    await server[Symbol.asyncDispose]()
  })

  test('the socket file of a process that was killed is no obstacle; an ordinary file is', async () => {
    const directory = await temporaryDirectory()
    const path = join(directory, 'd.sock')
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
    ])
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    await serve({ say: () => 'alive' }, { listen: { path } })
    expect(await clientOf(echoService, connect(`unix:${path}`)).say('x')).toBe('alive')
    const file = join(directory, 'notes.txt')
    await writeFile(file, 'keep me')
    await expect(serve({}, { listen: { path: file } })).rejects.toMatchObject({ code: 'config.invalid' })
  })

  test('a handler may speak in gRPC codes', async () => {
    const server = await serve({
      say: () => {
        throw new StatusError(STATUS.NOT_FOUND, 'nobody of that name')
      },
    })
    const error: unknown = await clientOf(echoService, connect(server.address))
      .say('x')
      .catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'task.unknown' })
    expect(statusOf(error)).toBe(STATUS.NOT_FOUND)
  })
})
