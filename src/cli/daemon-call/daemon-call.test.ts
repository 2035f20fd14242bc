import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Download, DownloadTaskResponse, downloadService, type GrpcServer, framed, implement, serveGrpc } from '#api'
import { Failure } from '#core'
import { connectTo } from '../daemon-socket.ts'
import { DaemonCall } from './daemon-call.ts'
import { FLAG, FRAME, FrameCutter, frame, settings } from './h2-frames.ts'

type Asked = Parameters<Parameters<typeof implement<typeof downloadService>>[1]['downloadTask'] & object>[0]

let dir: string
let path: string
let server: GrpcServer | undefined
let raw: Server | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'daemon-call-test-'))
  path = join(dir, 's')
})
afterEach(async () => {
  await server?.[Symbol.asyncDispose]()
  if (raw !== undefined) raw.close()
  server = raw = undefined
  rmSync(dir, { recursive: true, force: true })
})

/** A daemon of the real kind, that answers as it is told. */
async function daemon(
  answers: (asked: Asked, signal: AbortSignal) => AsyncGenerator<DownloadTaskResponse>,
): Promise<void> {
  const handlers = { downloadTask: (asked: Asked, { signal }: { signal: AbortSignal }) => answers(asked, signal) }
  server = await serveGrpc({ services: [implement(downloadService, handlers)], listen: { path }, drainMs: 50 })
}

/** A server that says these bytes to whoever comes. */
async function saying(say: (socket: Socket) => void): Promise<void> {
  raw = createServer((socket) => {
    socket.on('error', () => undefined)
    say(socket)
  })
  raw.listen(path)
  await once(raw, 'listening')
}

async function call(headers: Record<string, string> = {}): Promise<DaemonCall> {
  const connection = (await connectTo(path)) ?? expect.fail('nobody listens')
  return new DaemonCall(connection, 'the daemon', {
    download: Download.fromPartial({ url: 'http://host/f', requestHeader: headers }),
  })
}

async function collect(one: DaemonCall, signal = new AbortController().signal): Promise<DownloadTaskResponse[]> {
  using asked = one
  const all: DownloadTaskResponse[] = []
  for await (const response of asked.responses(signal)) all.push(response)
  return all
}

const message = (taskId: string, content?: Buffer): DownloadTaskResponse =>
  DownloadTaskResponse.fromPartial({ taskId, ...(content && { content: { offset: 0, bytes: content } }) })

test('the answers come in order to their end', async () => {
  await daemon(async function* (asked) {
    for (let n = 0; n < 300; n++) yield message(`${n} ${asked.download?.url}`)
  })
  const all = await collect(await call())
  expect(all.map(({ taskId }) => taskId)).toEqual(Array.from({ length: 300 }, (_, n) => `${n} http://host/f`))
})

test('a failure of the daemon is the same failure here, whatever its words, behind the answers before it', async () => {
  const printable = Array.from({ length: 95 }, (_, n) => String.fromCharCode(32 + n)).join('')
  for (const words of [
    printable,
    '100 % of "naïve" 🐉',
    'x'.repeat(2000),
    `${'\\'.repeat(30)}${printable.repeat(5)}`,
  ]) {
    await daemon(async function* () {
      yield message('first')
      throw new Failure('source.changed', words)
    })
    using one = await call()
    const seen: string[] = []
    const reading = (async () => {
      for await (const { taskId } of one.responses(new AbortController().signal)) seen.push(taskId)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'source.changed', message: words })
    expect(seen).toEqual(['first'])
    await server?.[Symbol.asyncDispose]()
  }
})

test('a refusal before any answer is told as well', async () => {
  server = await serveGrpc({ services: [], listen: { path } })
  await expect(collect(await call())).rejects.toMatchObject({
    code: 'daemon.unavailable',
    message: expect.stringContaining('UNIMPLEMENTED') as string,
  })
})

test('a large question and large answers cross whole, at the pace of who takes them', async () => {
  const content = randomBytes(2 ** 20)
  let made = 0
  let long = 0
  await daemon(async function* (asked) {
    long = asked.download?.requestHeader['x-long']?.length ?? 0
    for (; made < 40; made++) yield message(`${made}`, content)
  })
  using one = await call({ 'x-long': 'y'.repeat(200_000) })
  const responses = one.responses(new AbortController().signal)
  await responses.next()
  expect(long).toBe(200_000)
  for (let before = -1; before !== made; await sleep(300)) before = made
  expect(made).toBeLessThan(12)
  let taken = 1
  for await (const response of responses) {
    expect(content.equals(response.content?.bytes ?? Buffer.alloc(0))).toBe(true)
    taken++
  }
  expect(taken).toBe(40)
})

test('an abort ends the call with its reason, and the daemon is told; so does who lets go of it', async () => {
  let left = 0
  await daemon(async function* (_, signal) {
    yield message('begun')
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    left++
  })
  const stop = new AbortController()
  const reason = new Failure('download.timeout', 'too late')
  const reading = collect(await call(), stop.signal)
  await sleep(50)
  stop.abort(reason)
  await expect(reading).rejects.toBe(reason)
  const one = await call()
  await one.responses(new AbortController().signal).next()
  one[Symbol.dispose]()
  await vi.waitFor(() => expect(left).toBe(2))
  await expect(collect(await call(), AbortSignal.abort(reason))).rejects.toBe(reason)
})

test('a daemon that stops in the middle is daemon.unavailable', async () => {
  await saying((socket) => {
    socket.write(Buffer.concat([settings({}), frame(FRAME.HEADERS, FLAG.END_HEADERS, 1, Buffer.from('88', 'hex'))]))
    setTimeout(() => socket.destroy(), 20)
  })
  await expect(collect(await call())).rejects.toMatchObject({
    code: 'daemon.unavailable',
    message: expect.stringContaining('the connection was lost') as string,
  })
})

const headers = (flags: number, hex: string): Buffer => frame(FRAME.HEADERS, flags, 1, Buffer.from(hex, 'hex'))
test.each([
  ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['a web server', headers(FLAG.END_HEADERS | FLAG.END_STREAM, '8d')],
  ['data without an end', frame(FRAME.DATA, FLAG.END_STREAM, 1)],
  ['no message', frame(FRAME.DATA, 0, 1, Buffer.from('0700000001', 'hex'))],
  ['an endless message', frame(FRAME.DATA, 0, 1, Buffer.from('00ffffffff', 'hex'))],
  ['a wrong message', frame(FRAME.DATA, 0, 1, Buffer.from('0000000001ff', 'hex'))],
  ['nothing but padding', frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.from('ff', 'hex'))],
  ['headers that break off', Buffer.concat([headers(0, '88'), frame(FRAME.PING, 0, 0, Buffer.alloc(8))])],
  ['headers without end', Buffer.concat(Array.from({ length: 9 }, () => headers(0, '00'.repeat(16_000))))],
  [
    'a good end in the middle of a message',
    Buffer.concat([
      headers(FLAG.END_HEADERS, '88'),
      frame(FRAME.DATA, 0, 1, Buffer.from('000000000901', 'hex')),
      headers(FLAG.END_HEADERS | FLAG.END_STREAM, `000b${Buffer.from('grpc-status').toString('hex')}0130`),
    ]),
  ],
  ['a reset', frame(FRAME.RST_STREAM, 0, 1, Buffer.alloc(4))],
  ['a goodbye', frame(FRAME.GOAWAY, 0, 0, Buffer.alloc(8))],
])('%s is daemon.unavailable', async (_, bytes) => {
  await saying((socket) => socket.end(bytes))
  await expect(collect(await call())).rejects.toMatchObject({ code: 'daemon.unavailable' })
})

test('headers in ever more pieces are refused early, though there is nothing in the pieces', async () => {
  const nothing = Buffer.concat(Array.from({ length: 10_000 }, () => frame(FRAME.CONTINUATION, 0, 1)))
  await saying((socket) => socket.end(Buffer.concat([headers(0, '88'), nothing])))
  await expect(collect(await call())).rejects.toThrow('its headers are too large')
})

const plain = (fields: string[]): string =>
  fields.map((text) => `${lengthOf(text)}${Buffer.from(text).toString('hex')}`).join('')
const lengthOf = (text: string): string => text.length.toString(16).padStart(2, '0')
const wellEnded = headers(FLAG.END_HEADERS | FLAG.END_STREAM, `00${plain(['grpc-status', '0'])}`)

test('a daemon that takes no more calls still answers the one it has', async () => {
  const goaway = frame(FRAME.GOAWAY, 0, 0, Buffer.from('0000000100000000', 'hex'))
  const answer = frame(FRAME.DATA, 0, 1, framed(DownloadTaskResponse.encode(message('mine')).finish()))
  await saying((socket) => socket.end(Buffer.concat([goaway, headers(FLAG.END_HEADERS, '88'), answer, wellEnded])))
  expect(await collect(await call())).toMatchObject([{ taskId: 'mine' }])
})

test('of a question the daemon is sent what it takes, also when that becomes less', async () => {
  const more = (stream: number, bytes: number): Buffer =>
    frame(FRAME.WINDOW_UPDATE, 0, stream, Buffer.from(bytes.toString(16).padStart(8, '0'), 'hex'))
  const cutter = new FrameCutter()
  const steps: number[] = []
  let sent = 0
  await saying((socket) => {
    const step = (...frames: Buffer[]): void => {
      steps.push(sent)
      socket.write(Buffer.concat(frames))
    }
    socket.on('data', (chunk) => {
      const hello = sent === 0 && chunk.indexOf('PRI') === 0
      for (const { type, flags, payload } of cutter.push(hello ? chunk.subarray(24) : chunk)) {
        if (type === FRAME.PING) step(more(1, 65_535))
        if (type !== FRAME.DATA) continue
        sent += payload.length
        if ((flags & FLAG.END_STREAM) !== 0) socket.end(Buffer.concat([headers(FLAG.END_HEADERS, '88'), wellEnded]))
        // With what it was let at first it has sent too much by now; its answer to the ping tells that it knows.
        else if (sent === 65_535)
          step(settings({ 4: 0 }), more(0, 200_000), more(1, 10_000), frame(FRAME.PING, 0, 0, Buffer.alloc(8)))
        else if (sent === 75_535) step(more(1, 200_000))
      }
    })
  })
  expect(await collect(await call({ 'x-long': 'y'.repeat(100_000) }))).toEqual([])
  expect(steps).toEqual([65_535, 65_535, 75_535])
  expect(sent).toBeGreaterThan(100_000)
})

const zeros = Buffer.alloc(16_000)
test.each([
  ['messages of nothing', frame(FRAME.DATA, 0, 1, zeros)],
  ['large messages', frame(FRAME.DATA, 0, 1, Buffer.concat([Buffer.from('0000003e7b', 'hex'), zeros.subarray(5)]))],
])('a daemon that sends more %s than it was let is hung up on, though nobody takes them', async (_, data) => {
  let over = false
  await saying((socket) => {
    const flood = (): void => {
      while (!over && socket.write(data));
    }
    socket.resume().on('close', () => (over = true))
    socket.on('drain', flood)
    flood()
  })
  using _nobodyTakesThem = await call()
  await vi.waitFor(() => expect(over).toBe(true), { timeout: 4000 })
})

test('whatever a server says, the call ends when it does', async () => {
  let said = Buffer.alloc(0)
  await saying((socket) => void socket.end(said))
  for (let round = 0; round < 200; round++) {
    const type = round % 11
    said = Buffer.concat([
      settings({}),
      frame(type, randomBytes(1)[0] ?? 0, round % 3, randomBytes(round % 60)),
      randomBytes(9),
    ])
    await expect(collect(await call())).rejects.toMatchObject({ code: 'daemon.unavailable' })
  }
})
