import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { isServing, serveHealth } from '../health.ts'
import { openChannel } from './channel.ts'
import { FrameReader, framed } from './frames.ts'
import { type GrpcServer, serveGrpc } from './server.ts'
import { failureOf, percentDecode, percentEncode } from './status.ts'
import { formatTimeout, parseTimeout } from './timeout.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const CHECK = '/grpc.health.v1.Health/Check'

async function serve(limits = {}): Promise<GrpcServer> {
  const listen = { host: '127.0.0.1', port: 0 }
  const server = await serveGrpc({ services: [serveHealth([])], listen, limits, drainMs: 50 })
  cleanups.push(() => server[Symbol.asyncDispose]())
  return server
}

async function serving(server: GrpcServer): Promise<boolean> {
  await using channel = openChannel(server.address)
  return await isServing(channel)
}

function raw(server: GrpcServer): net.Socket {
  const socket = net.connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  cleanups.push(() => socket.destroy())
  return socket
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header.writeUInt8(type, 3)
  header.writeUInt8(flags, 4)
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

function h2(server: GrpcServer): http2.ClientHttp2Session {
  const session = http2.connect(`http://${server.address}`)
  session.on('error', () => undefined)
  cleanups.push(() => session.destroy())
  return session
}

const headers = (path = CHECK): http2.OutgoingHttpHeaders => ({
  ':method': 'POST',
  ':path': path,
  'content-type': 'application/grpc',
  te: 'trailers',
})

test('strangers who send garbage, floods of settings and pings, or broken frames hurt nobody else', async () => {
  const server = await serve()
  const settings = frame(4, 0, 0, Buffer.alloc(0))
  const ping = frame(6, 0, 0, Buffer.alloc(8))
  const attacks = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    randomBytes(100_000),
    Buffer.concat([PREFACE, randomBytes(10_000)]),
    Buffer.concat([PREFACE, ...Array.from({ length: 20_000 }, () => settings)]),
    Buffer.concat([PREFACE, settings, ...Array.from({ length: 20_000 }, () => ping)]),
    Buffer.concat([PREFACE, settings, frame(1, 0, 1, randomBytes(500)), frame(9, 0, 1, randomBytes(500))]),
    Buffer.concat([PREFACE, settings, frame(0, 0, 7, randomBytes(500))]),
  ]
  for (const attack of attacks) {
    const socket = raw(server)
    socket.write(attack)
    await Promise.race([once(socket, 'close'), sleep(300)])
    expect(await serving(server)).toBe(true)
  }
})

test('calls that are opened and reset as fast as can be leave the server well', async () => {
  const server = await serve()
  const session = h2(server)
  for (let i = 0; i < 3000 && !session.destroyed; i++) {
    const stream = session.request(headers('/grpc.health.v1.Health/Watch'))
    stream.on('error', () => undefined)
    stream.close(http2.constants.NGHTTP2_CANCEL)
    if (i % 100 === 0) await sleep(1)
  }
  expect(await serving(server)).toBe(true)
})

test('more calls than the server takes are refused, and room is made when others end', async () => {
  const server = await serve({ calls: 5 })
  const session = h2(server)
  const held = Array.from({ length: 5 }, () => {
    const stream = session.request(headers('/grpc.health.v1.Health/Watch'))
    stream.on('error', () => undefined)
    stream.write(framed(new Uint8Array()))
    return stream
  })
  await Promise.all(held.map((stream) => once(stream, 'response')))
  await expect(serving(server)).rejects.toMatchObject({ message: /RESOURCE_EXHAUSTED/ })
  for (const stream of held) stream.close(http2.constants.NGHTTP2_CANCEL)
  await expect.poll(() => serving(server).catch(() => false)).toBe(true)
})

test('more connections than the server takes are closed', async () => {
  const server = await serve({ connections: 2 })
  const held = [raw(server), raw(server)]
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  await sleep(50)
  await expect(serving(server)).rejects.toMatchObject({ code: 'peer.unreachable' })
  for (const socket of held) socket.destroy()
  await expect.poll(() => serving(server).catch(() => false)).toBe(true)
})

test('what is no gRPC call is told so: the wrong method, the wrong type, a compressed or cut message, none at all', async () => {
  const server = await serve()
  const session = h2(server)
  const ask = async (more: http2.OutgoingHttpHeaders, body: Uint8Array): Promise<string> => {
    const stream = session.request({ ...headers(), ...more })
    if (more[':method'] === undefined) stream.end(body)
    stream.resume()
    const [response] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader]
    return `${response[':status']} ${String(response['grpc-status'])}`
  }
  expect(await ask({ ':method': 'GET' }, new Uint8Array())).toBe('405 undefined')
  expect(await ask({ 'content-type': 'text/html' }, new Uint8Array())).toBe('415 undefined')
  expect(await ask({}, Buffer.from([1, 0, 0, 0, 0]))).toBe('200 12')
  expect(await ask({}, Buffer.from([0, 0, 0, 0, 9, 1]))).toBe('200 3')
  expect(await ask({}, Buffer.from([0, 255, 255, 255, 255]))).toBe('200 8')
  expect(await ask({}, Buffer.from([0, 0, 0, 0, 1, 0xff]))).toBe('200 3')
  expect(await ask({}, new Uint8Array())).toBe('200 3')
})

test('messages are found again however the bytes are cut', () => {
  const bodies = fc.array(fc.uint8Array({ maxLength: 40_000 }), { maxLength: 6 })
  const cuts = fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(bodies, cuts, (given, sizes) => {
      const all = Buffer.concat(given.map(framed))
      const reader = new FrameReader(50_000)
      const seen: Uint8Array[] = []
      for (let at = 0, i = 0; at < all.length; i++) {
        const end = at + (sizes[i % sizes.length] ?? 1)
        seen.push(...reader.push(all.subarray(at, end)))
        at = end
      }
      expect(seen.map((body) => Buffer.from(body))).toEqual(given.map((body) => Buffer.from(body)))
      expect(reader.idle).toBe(true)
    }),
  )
})

test('any text survives the trip in grpc-message, and a broken one harms nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(percentEncode(text)).toMatch(/^[\x20-\x7e]*$/)
      expect(percentDecode(percentEncode(text))).toBe(text)
    }),
  )
  for (const text of ['%', '%4', '%zz', '100 % sure']) expect(percentDecode(text)).toBe(text)
})

test('whatever a stranger puts into trailers becomes a Failure with a readable message', () => {
  const codes = { unavailable: 'peer.unreachable', notFound: 'task.unknown' } as const
  const value = fc.oneof(fc.string(), fc.constantFrom('0', '5', '99', '-1', 'internal', '__proto__', 'task.unknown'))
  fc.assert(
    fc.property(value, value, value, (status, message, failure) => {
      const trailers = { 'grpc-status': status, 'grpc-message': `%1B%07${message}`, 'df-failure': failure }
      const made = failureOf(trailers, 'x:1', codes)
      if (made !== undefined) expect(made.message).not.toMatch(/[^\P{Cc}\n\t]/u)
    }),
  )
})

test('timeouts survive the trip and bad ones count as none', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (ms) => {
      const read = parseTimeout(formatTimeout(ms)) ?? 0
      expect(read).toBeGreaterThanOrEqual(ms)
      expect(read).toBeLessThan(ms + 1001)
    }),
  )
  expect(parseTimeout('10000000u')).toBe(10_000)
  expect(parseTimeout('7200000m')).toBe(7_200_000)
  for (const header of [undefined, '', '10', '123456789m', '-1S', '1.5S', '1x'])
    expect(parseTimeout(header)).toBeUndefined()
})
