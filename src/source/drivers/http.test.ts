import { truncate } from 'node:fs/promises'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { AUTH_PASSWORD, AUTH_USER, bytesOf, startNginx, startOrigin } from '#devnet'
import type { ExpireInfo, ResourceClient, SourceRequest } from '../contract.ts'
import { builtInSources } from '../registry.ts'
import { sourceSettings } from '../settings.ts'
import type { ReadOptions, ReadResult, Resource, Source } from '../source.ts'
import { testSink } from '../test-sink.ts'
import { httpClient } from './http.ts'

const { signal } = new AbortController()
const content = bytesOf({ size: 3_000_000, seed: 3 })
const quick = { firstDelay: '1ms', maxDelay: '20ms' }

/** Every promise holds on both ways that bytes can take. */
const WAYS = [
  ['straight into the sink', true],
  ["by node's own client", false],
] as const

const opened: AsyncDisposable[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]()
})

function own<T extends AsyncDisposable>(resource: T): T {
  opened.push(resource)
  return resource
}

function sourceFor(direct: boolean, settings: Record<string, unknown> = {}): Source {
  const layers = [{ retry: quick, idleTimeout: '2s' }, settings, { http: { direct } }]
  const [source] = builtInSources(resolveSettings(sourceSettings, layers), () => undefined)
  if (source === undefined) throw new Error('no source')
  return source
}

type Headers = Record<string, string>

async function read(
  source: Source,
  url: string,
  options: Partial<ReadOptions> & { headers?: Headers } = {},
): Promise<ReadResult & { content: Buffer }> {
  const { headers = {}, ...rest } = options
  const sink = testSink()
  const result = await source.read({ url, headers }, sink, { signal, ...rest })
  return { ...result, content: sink.bytes }
}

function describeUrl(source: Source, url: string, headers: Headers = {}): Promise<Resource> {
  return source.describe({ url, headers }, signal)
}

/** A TCP server that answers each request head as it is told, byte for byte. */
async function rawOrigin(answer: (head: string, socket: Socket, round: number) => void): Promise<string> {
  let round = 0
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    let head = ''
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1')
      if (!head.includes('\r\n\r\n')) return
      const whole = head
      head = ''
      answer(whole, socket, round++)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  own({
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}/file.bin`
}

function plainRequest(url: string, changes: Partial<SourceRequest> = {}): SourceRequest {
  return { url, headers: {}, signal, ...changes }
}

function client(): Required<Omit<ResourceClient, 'list'>> {
  return httpClient(resolveSettings(sourceSettings, [])) as Required<Omit<ResourceClient, 'list'>>
}

describe('the methods of the seed page', () => {
  // G1 row 6
  test('getContentLength tells the length for 200 and 206, and names the status of everything else', async () => {
    const nginx = own(await startNginx({ files: { 'a.bin': content } }))
    expect(await client().getContentLength(plainRequest(nginx.url('a.bin')))).toBe(content.length)
    expect(await client().getContentLength(plainRequest(nginx.url('a.bin', 'chunked')))).toBe(-2)
    await expect(client().getContentLength(plainRequest(nginx.url('none.bin')))).rejects.toMatchObject({
      code: 'source.not_found',
      message: 'status code from source is 404; was expecting 200 or 206',
    })
  })

  // G1 row 7
  test('isSupportRange is true for an origin that answers 206, false for one that answers 200', async () => {
    const nginx = own(await startNginx({ files: { 'a.bin': content } }))
    expect(await client().isSupportRange(plainRequest(nginx.url('a.bin')))).toBe(true)
    expect(await client().isSupportRange(plainRequest(nginx.url('a.bin', 'no-range')))).toBe(false)
  })

  // G1 row 7: half a file is resumed only where ranges are supported.
  test('a read that breaks half-way asks for the rest where ranges are supported, else for the whole', async () => {
    for (const ignoreRanges of [false, true]) {
      const origin = own(
        await startOrigin({ content, faults: { dieAfterBytes: 1_000_000, dieTimes: 1, ignoreRanges } }),
      )
      expect((await read(sourceFor(true), origin.url())).content.equals(content)).toBe(true)
      const [, second] = origin.gets()
      expect(second?.range.startsWith('bytes=') ?? false).toBe(!ignoreRanges)
    }
  })

  // G1 row 8
  test('isExpired sees a changed ETag or date; an origin that is down counts as fresh, with one warning', async () => {
    const warnings: string[] = []
    const settings = resolveSettings(sourceSettings, [{ retry: quick }])
    const [source] = builtInSources(settings, (message) => warnings.push(message)) as [Source]
    const origin = own(await startOrigin({ content }))
    const request = { url: origin.url(), headers: {} }
    const { expireInfo } = await source.describe(request, signal)
    expect(await source.isExpired(request, expireInfo, signal)).toBe(false)
    expect(await source.isExpired(request, { etag: '"another"' }, signal)).toBe(true)
    expect(await source.isExpired(request, { lastModified: 'Mon, 02 Jan 2006 15:04:05 GMT' }, signal)).toBe(true)
    expect(await source.isExpired(request, {}, signal)).toBe(false)
    origin.put('file.bin', Buffer.from('changed'))
    expect(await source.isExpired(request, expireInfo, signal)).toBe(true)
    expect(warnings).toEqual([])
    origin.faults.status = 500
    expect(await source.isExpired(request, expireInfo, signal)).toBe(false)
    await origin.refuse()
    expect(await source.isExpired(request, expireInfo, signal)).toBe(false)
    await origin.accept()
    expect(warnings).toHaveLength(2)
  })

  // G1 row 10
  test('getLastModified is in milliseconds, and 0 where there is no date', async () => {
    const origin = own(await startOrigin())
    origin.put('a.bin', content, { lastModified: 'Mon, 02 Jan 2006 15:04:05 GMT' })
    expect(await client().getLastModified(plainRequest(origin.url('a.bin')))).toBe(1136214245000)
    origin.put('a.bin', content, { lastModified: 'yesterday' })
    expect(await client().getLastModified(plainRequest(origin.url('a.bin')))).toBe(0)
  })
})

describe.each(WAYS)('bytes going %s', (_, direct) => {
  const source = sourceFor(direct)

  // G1 row 9
  test('nginx: whole files and ranges arrive as they are, with length and validators', async () => {
    const nginx = own(await startNginx({ files: { 'a.bin': content, empty: Buffer.alloc(0) } }))
    const url = nginx.url('a.bin')
    const { expireInfo, contentLength, supportsRange } = await describeUrl(source, url)
    expect({ contentLength, supportsRange }).toEqual({ contentLength: content.length, supportsRange: true })
    expect((await read(source, url, { ifMatch: expireInfo })).content.equals(content)).toBe(true)
    for (const [start, end] of [
      [0, 0],
      [2_999_999, 2_999_999],
      [1_000_000, 2_000_000],
      [0, 2_999_999],
    ] as const) {
      const part = await read(source, url, { range: { start, end }, ifMatch: expireInfo })
      expect(part.content.equals(content.subarray(start, end + 1))).toBe(true)
      expect(part.expireInfo).toEqual(expireInfo)
    }
    expect(await describeUrl(source, nginx.url('empty'))).toMatchObject({ contentLength: 0 })
    expect((await read(source, nginx.url('empty'))).bytes).toBe(0)
  })

  // G1 row 9: memory stays flat.
  test('nginx: 1 GiB goes through without piling up', async () => {
    const nginx = own(await startNginx({ files: { 'sparse.bin': Buffer.alloc(0) } }))
    await truncate(join(nginx.root, 'sparse.bin'), 2 ** 30)
    const held = (): number => process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
    const before = held()
    let [given, peak] = [0, 0]
    const space = new Uint8Array(512 * 1024)
    const sink = {
      space: () => space,
      filled(length: number) {
        if (given % 2 ** 26 > (given + length) % 2 ** 26) peak = Math.max(peak, held())
        given += length
        return true
      },
      drained: () => Promise.resolve(),
      full: false,
    }
    await source.read({ url: nginx.url('sparse.bin'), headers: {} }, sink, { signal })
    expect(given).toBe(2 ** 30)
    expect(peak - before).toBeLessThan(64 * 2 ** 20)
  })

  test('nginx: no ranges, no length, compression on: the right bytes all the same', async () => {
    const nginx = own(await startNginx({ files: { 'a.bin': content } }))
    for (const manner of ['no-range', 'chunked', 'gzip', 'redirect'] as const) {
      expect((await read(source, nginx.url('a.bin', manner))).content.equals(content)).toBe(true)
    }
    expect(await describeUrl(source, nginx.url('a.bin', 'chunked'))).toMatchObject({
      contentLength: undefined,
      supportsRange: false,
    })
    const range = { start: 1, end: 9 }
    for (const manner of ['no-range', 'chunked'] as const) {
      const sink = testSink()
      const reading = source.read({ url: nginx.url('a.bin', manner), headers: {} }, sink, { signal, range })
      await expect(reading).rejects.toMatchObject({ code: 'source.not_supported' })
      expect(sink.bytes).toHaveLength(0)
    }
  })

  test('nginx: credentials in -H or in the URL open what is closed, and are never shown', async () => {
    const nginx = own(await startNginx({ files: { 'a.bin': content } }))
    const url = nginx.url('a.bin', 'auth')
    const authorization = `Basic ${Buffer.from(`${AUTH_USER}:${AUTH_PASSWORD}`).toString('base64')}`
    expect((await read(source, url, { headers: { Authorization: authorization } })).bytes).toBe(content.length)
    const inUrl = url.replace('http://', `http://${AUTH_USER}:${AUTH_PASSWORD}@`)
    expect((await read(source, inUrl)).bytes).toBe(content.length)
    const wrong = url.replace('http://', 'http://bob:hunter2@')
    const failure = await describeUrl(source, `${wrong}?token=t0p`).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'source.denied' })
    expect((failure as Error).message).not.toMatch(/hunter2|t0p|bob/)
  })

  test('a header Host names the virtual host; other user headers arrive as they are', async () => {
    const origin = own(await startOrigin({ content }))
    await read(source, origin.url(), {
      headers: { Host: 'virtual.example', 'X-Custom': 'a b', 'X-Dragonfly-Range': '0-1' },
    })
    const { headers } = origin.gets()[0] ?? {}
    expect(headers).toMatchObject({ host: 'virtual.example', 'x-custom': 'a b', 'accept-encoding': 'identity' })
    expect(headers).not.toHaveProperty('x-dragonfly-range')
  })

  test('headers that would make another answer, or no header at all, are refused', async () => {
    const origin = own(await startOrigin({ content }))
    for (const headers of [
      { Range: 'bytes=0-1' },
      { 'If-None-Match': '"x"' },
      { 'Transfer-Encoding': 'chunked' },
      { 'a b': 'c' },
      { a: 'b\r\nc: d' },
    ]) {
      await expect(read(source, origin.url(), { headers })).rejects.toMatchObject({
        code: 'usage.invalid',
      })
    }
    expect(origin.requests).toHaveLength(0)
  })

  test('an origin that dies half-way again and again and comes back gives the right bytes', async () => {
    const origin = own(await startOrigin({ content, faults: { dieAfterBytes: 500_000, dieTimes: 4 } }))
    expect((await read(source, origin.url())).content.equals(content)).toBe(true)
    const served = origin.gets().reduce((sum, { bytes }) => sum + bytes, 0)
    expect(served).toBeLessThan(content.length * 1.7) // what was under way when it died is lost, no more
  })

  test('without validators or length the bytes are proved, and still right', async () => {
    for (const faults of [
      { noValidators: true },
      { noLength: true },
      { noLength: true, noValidators: true, ignoreRanges: true },
    ]) {
      const origin = own(await startOrigin({ content, faults: { ...faults, dieAfterBytes: 900_000, dieTimes: 2 } }))
      expect((await read(source, origin.url())).content.equals(content)).toBe(true)
    }
  })

  test('an origin that is away for a while is waited for', async () => {
    const origin = own(await startOrigin({ content, faults: { dieAfterBytes: 1_500_000, dieTimes: 1 } }))
    const patient = sourceFor(direct, { retry: { firstDelay: '50ms', maxDelay: '200ms' } })
    const reading = read(patient, origin.url())
    while (origin.gets().length === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    await origin.refuse()
    await new Promise((resolve) => setTimeout(resolve, 300))
    await origin.accept()
    expect((await reading).content.equals(content)).toBe(true)
  })

  test('another version in the middle is source.changed, never a mixed file', async () => {
    const other = bytesOf({ size: content.length, seed: 4 })
    for (const faults of [{}, { noValidators: true }, { ignoreRanges: true }, { noLength: true }]) {
      const origin = own(await startOrigin({ content, faults: { ...faults, dieAfterBytes: 1_000_000 } }))
      const sink = testSink()
      const reading = source.read({ url: origin.url(), headers: {} }, sink, { signal })
      while (origin.gets().length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      origin.put('file.bin', other)
      origin.faults.dieAfterBytes = undefined
      const outcome = await reading.then(
        () => 'whole',
        (error: { code?: string }) => error.code,
      )
      if (outcome === 'whole') expect([content, other].some((each) => sink.bytes.equals(each))).toBe(true)
      else {
        expect(outcome).toBe('source.changed')
        expect(sink.bytes.equals(content.subarray(0, sink.bytes.length))).toBe(true)
      }
    }
  })

  test('with ifMatch another version is source.changed: of the whole, of a range, of a shrunk file', async () => {
    const origin = own(await startOrigin({ content }))
    const ifMatch: ExpireInfo = (await describeUrl(source, origin.url())).expireInfo
    origin.put('file.bin', Buffer.from('changed'))
    await expect(read(source, origin.url(), { ifMatch })).rejects.toMatchObject({ code: 'source.changed' })
    const range = { start: 100, end: 200 }
    await expect(read(source, origin.url(), { ifMatch, range })).rejects.toMatchObject({ code: 'source.changed' })
    expect(origin.gets().at(-1)?.headers['if-range']).toBe(ifMatch.etag)
  })

  test('statuses mean what they say', async () => {
    const origin = own(await startOrigin({ content }))
    for (const [status, code] of [
      [404, 'source.not_found'],
      [410, 'source.not_found'],
      [401, 'source.denied'],
      [403, 'source.denied'],
      [429, 'source.unreachable'],
      [500, 'source.unreachable'],
      [503, 'source.unreachable'],
      [400, 'source.broken'],
      [304, 'source.broken'],
      [204, 'source.broken'],
    ] as const) {
      origin.faults.status = status
      await expect(read(source, origin.url())).rejects.toMatchObject({
        code,
        message: expect.stringContaining(`is ${status}`),
      })
      await expect(describeUrl(source, origin.url())).rejects.toMatchObject({ code })
    }
  })

  test('a body that is shorter than its Content-Length is source.broken', async () => {
    const origin = own(await startOrigin({ content, faults: { lieLengthBy: 100 } }))
    await expect(read(source, origin.url())).rejects.toMatchObject({ code: 'source.broken' })
  })

  test('an answer to a range with other bytes, or none named, is source.broken', async () => {
    for (const contentRange of ['bytes 0-4/11', 'bytes 6-11/12', 'bytes */11', 'nonsense', undefined]) {
      const field = contentRange === undefined ? '' : `Content-Range: ${contentRange}\r\n`
      const url = await rawOrigin((_, socket) => {
        socket.end(`HTTP/1.1 206 Partial Content\r\n${field}Content-Length: 5\r\n\r\nworld`)
      })
      await expect(read(source, url, { range: { start: 6, end: 10 } })).rejects.toMatchObject({ code: 'source.broken' })
    }
  })

  test('a close-delimited body is read to its end', async () => {
    const url = await rawOrigin((_, socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello world'))
    expect((await read(source, url)).content.toString()).toBe('hello world')
  })

  test('what does not speak HTTP is source.broken, what says nothing source.unreachable', async () => {
    const garbage = await rawOrigin((_, socket) => socket.end('220 smtp ready\r\n\r\n'))
    await expect(read(source, garbage)).rejects.toMatchObject({ code: 'source.broken' })
    const silent = await rawOrigin((_, socket) => socket.end())
    await expect(read(source, silent)).rejects.toMatchObject({ code: 'source.unreachable' })
    await expect(read(source, 'http://127.0.0.1:1/file')).rejects.toMatchObject({ code: 'source.unreachable' })
  })

  test('lengths that are none, contradict each other or hide a coding never become a file', async () => {
    for (const head of [
      'Content-Length: -5',
      'Content-Length: 11\r\nContent-Length: 12',
      'Content-Length: 99999999999999999999',
      'Content-Length: 0x0b',
      'Content-Length: 11\r\nTransfer-Encoding: chunked',
      'Content-Length : 11',
    ]) {
      const url = await rawOrigin((_, socket) => socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n\r\nhello world`))
      await expect(read(source, url)).rejects.toMatchObject({ code: 'source.broken' })
    }
  })

  test('heads without end are cut off', async () => {
    const large = await rawOrigin((_, socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const line = `X-Filler: ${'x'.repeat(1000)}\r\n`
      for (let at = 0; at < 200; at++) socket.write(line)
      socket.end('Content-Length: 2\r\n\r\nok')
    })
    await expect(read(source, large)).rejects.toMatchObject({ code: 'source.broken' })
  })

  test('an origin that stalls is given up after the idle time, and asked again', async () => {
    const impatient = sourceFor(direct, { idleTimeout: '100ms' })
    const origin = own(await startOrigin({ content, faults: { stallAfterBytes: 1_000_000 } }))
    const reading = read(impatient, origin.url())
    while (origin.gets().length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
    origin.faults.stallAfterBytes = undefined
    expect((await reading).content.equals(content)).toBe(true)
  })

  test('a head that drips in byte by byte is read all the same', async () => {
    const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world'
    const url = await rawOrigin((_, socket) => {
      socket.setNoDelay(true)
      let at = 0
      const timer = setInterval(() => {
        if (at === answer.length) clearInterval(timer)
        else socket.write(answer[at++] ?? '')
      }, 1)
    })
    expect((await read(source, url)).content.toString()).toBe('hello world')
  })

  test('an abort closes the connection', async () => {
    const origin = own(await startOrigin({ content, faults: { bytesPerSecond: 100_000 } }))
    const abort = new AbortController()
    const reading = read(source, origin.url(), { signal: abort.signal })
    while (origin.bytesSent === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    abort.abort()
    await expect(reading).rejects.toMatchObject({ code: 'download.cancelled' })
    const sent = origin.bytesSent
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(origin.bytesSent - sent).toBeLessThan(100_000)
  })

  test('redirects: ten are followed, circles are not, and nothing but http and https is', async () => {
    const target = own(await startOrigin({ content }))
    const chain = await rawOrigin((head, socket) => {
      const step = Number(/GET \/file.bin\?(\d+)/.exec(head)?.[1] ?? 0)
      const location = step === 9 ? target.url() : `/file.bin?${step + 1}`
      socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)
    })
    expect((await read(source, chain)).bytes).toBe(content.length)
    for (const [location, code] of [
      ['/file.bin', 'source.broken'],
      ['file:///etc/passwd', 'source.not_supported'],
      ['gopher://127.0.0.1/', 'source.not_supported'],
      ['http://[', 'source.broken'],
    ] as const) {
      const url = await rawOrigin((_, socket) =>
        socket.end(`HTTP/1.1 301 Moved\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`),
      )
      await expect(read(source, url)).rejects.toMatchObject({ code })
    }
  })

  test('a body of another length than was described is told before its first byte, or fails', async () => {
    const answers: [string, number | undefined][] = [
      [`Content-Length: 11\r\n\r\nhello world`, 11],
      [`Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n`, undefined],
      [`\r\nhello world`, undefined],
    ]
    for (const [answer, told] of answers) {
      const url = await rawOrigin((head, socket) =>
        socket.end(`HTTP/1.1 200 OK\r\n${head.startsWith('HEAD') ? 'Content-Length: 5\r\n\r\n' : answer}`),
      )
      expect(await describeUrl(source, url)).toMatchObject({ contentLength: 5 })
      const sink = testSink({ capacity: 5 })
      const seen: unknown[] = []
      const onAnswer = ({ totalLength }: { totalLength: number | undefined }): void =>
        void seen.push(totalLength, sink.bytes.length)
      const reading = source.read({ url, headers: {} }, sink, { signal, onAnswer })
      if (told === undefined) await expect(reading).rejects.toMatchObject({ code: 'source.broken' })
      else await reading
      expect(seen).toEqual([told, 0])
    }
  })

  test('a circle of redirects is found out in one try, and its last place is named', async () => {
    let asked = 0
    const url = await rawOrigin((_, socket) => {
      asked++
      socket.end('HTTP/1.1 302 Found\r\nLocation: ../round/and/round?token=t0p\r\nContent-Length: 0\r\n\r\n')
    })
    for (const circle of [() => describeUrl(source, url), () => read(source, url)]) {
      asked = 0
      const error: unknown = await circle().catch((error: unknown) => error)
      expect(error).toMatchObject({ code: 'source.broken', message: expect.stringContaining('/round/and/round?') })
      expect(String(error)).not.toMatch(/no URL|t0p/)
      expect(asked).toBe(11)
    }
  })

  test('redirects to another origin take no credentials along, to the same one they do', async () => {
    const headers = {
      Authorization: 'Bearer secret',
      Cookie: 'a=b',
      'X-Api-Key': 'k',
      Host: 'virtual.example',
      Accept: 'x/y',
    }
    const target = own(await startOrigin({ content }))
    const first = await rawOrigin((_, socket) =>
      socket.end(`HTTP/1.1 307 Over there\r\nLocation: ${target.url()}\r\nContent-Length: 0\r\n\r\n`),
    )
    await read(source, first.replace('http://', 'http://user:pass@'), { headers: { ...headers, Authorization: '' } })
    await read(source, first, { headers, range: { start: 1, end: 9 } })
    for (const { headers } of target.gets()) {
      expect(headers).toMatchObject({ host: `127.0.0.1:${target.port}`, accept: 'x/y' })
      for (const name of ['authorization', 'cookie', 'x-api-key']) expect(headers).not.toHaveProperty(name)
    }
    expect(target.gets()[1]?.range).toBe('bytes=1-9')

    const heads: string[] = []
    const same = await rawOrigin((head, socket, round) => {
      heads.push(head)
      const answer = round === 0 ? '308 Here\r\nLocation: /other\r\nContent-Length: 0' : '200 OK\r\nContent-Length: 2'
      socket.end(`HTTP/1.1 ${answer}\r\n\r\n${round === 0 ? '' : 'ok'}`)
    })
    await read(source, same, { headers })
    expect(heads[1]?.toLowerCase()).toContain('authorization: bearer secret')
  })

  test('a compression nobody asked for is undone; a file that is compressed itself stays as it is', async () => {
    const packed = gzipSync(content)
    const answer = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nAccept-Ranges: bytes\r\nETag: "x"\r\nContent-Length: ${packed.length}\r\n\r\n`
    const url = await rawOrigin((head, socket) => {
      socket.write(answer)
      socket.end(head.startsWith('HEAD') ? '' : packed)
    })
    expect(await describeUrl(source, url)).toMatchObject({ contentLength: undefined, supportsRange: false })
    expect((await read(source, url)).content.equals(content)).toBe(true)
    await expect(read(source, url, { range: { start: 0, end: 9 } })).rejects.toMatchObject({
      code: 'source.not_supported',
    })

    const archive = url.replace('file.bin', 'file.tar.gz')
    expect(await describeUrl(source, archive)).toMatchObject({ contentLength: packed.length })
    expect((await read(source, archive)).content.equals(packed)).toBe(true)
  })

  test('a compressed body that is damaged or of an unknown kind is a failure', async () => {
    const packed = gzipSync(content)
    const cut = await rawOrigin((_, socket) => {
      const half = packed.subarray(0, packed.length >> 1)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${half.length}\r\n\r\n`)
      socket.end(half)
    })
    await expect(read(source, cut)).rejects.toMatchObject({ code: 'source.broken' })
    const odd = await rawOrigin((_, socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Length: 2\r\n\r\nok'),
    )
    await expect(read(source, odd)).rejects.toMatchObject({ code: 'source.not_supported' })
  })

  test('an odd answer is asked for once only', async () => {
    let requests = 0
    const url = await rawOrigin((_, socket) => {
      requests++
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n')
    })
    expect((await read(source, url)).content.toString()).toBe('hello world')
    expect(requests).toBe(1)
  })

  test('a chunked body that is cut off is never a file', async () => {
    const url = await rawOrigin((_, socket) =>
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'),
    )
    await expect(read(source, url)).rejects.toMatchObject({ code: 'source.broken' })
  })

  test('no more connections go to one origin than are allowed', async () => {
    const origin = own(await startOrigin({ content, faults: { bytesPerSecond: 30_000_000 } }))
    const narrow = sourceFor(direct, { http: { maxConnections: 2 } })
    let most = 0
    const timer = setInterval(() => {
      most = Math.max(most, origin.gets().filter(({ bytes }) => bytes < content.length).length)
    }, 1)
    await Promise.all(Array.from({ length: 8 }, () => read(narrow, origin.url())))
    clearInterval(timer)
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(2)
  })
})

describe('describing', () => {
  const source = sourceFor(true)

  test('questions are asked over connections that are kept', async () => {
    let connections = 0
    const seen = new Set<Socket>()
    const url = await rawOrigin((_, socket) => {
      if (!seen.has(socket)) connections++
      seen.add(socket)
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
    })
    for (let round = 0; round < 5; round++) await describeUrl(source, url)
    expect(connections).toBeLessThanOrEqual(2) // one may not be back yet when the next question comes
  })

  test('an origin that refuses HEAD is asked for its first byte', async () => {
    for (const refusal of [400, 403, 405, 501]) {
      const url = await rawOrigin((head, socket) => {
        if (head.startsWith('HEAD')) socket.end(`HTTP/1.1 ${refusal} No\r\nContent-Length: 0\r\n\r\n`)
        else
          socket.end('HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-0/11\r\nETag: "e"\r\nContent-Length: 1\r\n\r\nh')
      })
      expect(await describeUrl(source, url)).toMatchObject({
        contentLength: 11,
        supportsRange: true,
        expireInfo: { etag: '"e"' },
      })
    }
  })

  test('an origin that refuses HEAD and knows no ranges is asked for everything, and hung up on', async () => {
    const url = await rawOrigin((head, socket) => {
      if (head.startsWith('HEAD')) socket.end('HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n')
      else if (/^range:/im.test(head)) socket.end('HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n')
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nh')
    })
    expect(await describeUrl(source, url)).toMatchObject({ contentLength: 1_000_000_000, supportsRange: false })
  })

  test('an empty file is described also where it has no first byte to ask for', async () => {
    const url = await rawOrigin((head, socket) => {
      if (head.startsWith('HEAD')) socket.end('HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n')
      else socket.end('HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n')
    })
    expect(await describeUrl(source, url)).toMatchObject({ contentLength: 0 })
  })

  test('headers are handed on, but not those of the connection, nor cookies', async () => {
    const url = await rawOrigin((_, socket) =>
      socket.end(
        'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nContent-Type: a/b\r\nX-Checksum: 1\r\n\r\n',
      ),
    )
    const { headers } = await describeUrl(source, url)
    expect(headers).toEqual({ 'content-type': 'a/b', 'x-checksum': '1' })
  })
})
