import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { promisify } from 'node:util'
import * as grpc from '@grpc/grpc-js'
import { afterEach, describe, expect, test } from 'vitest'
import { Failure } from '#core'
import { healthClient, isServing, serveHealth } from '../health.ts'
import {
  AnnouncePeerRequest,
  AnnouncePeerResponse,
  Host,
  ServingStatus,
  SyncPiecesRequest,
  SyncPiecesResponse,
} from '../messages.ts'
import { schedulerClient, schedulerService } from '../scheduling.ts'
import { uploadClient, uploadService } from '../uploading.ts'
import { type Channel, openChannel } from './channel.ts'
import { framed } from './frames.ts'
import { implement, type Route } from './implement.ts'
import type { Method, Service } from './method.ts'
import { type GrpcServer, serveGrpc } from './server.ts'
import { STATUS, type StatusName, statusOf } from './status.ts'

/** grpc-js, which nobody here wrote, on the other side of every call. */
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const ids = { hostId: 'h', taskId: 't', peerId: 'p' }
const register = AnnouncePeerRequest.fromPartial({
  ...ids,
  request: { $case: 'registerPeerRequest', value: { download: { url: 'http://a/b' } } },
})
const finished = AnnouncePeerRequest.fromPartial({
  ...ids,
  request: { $case: 'downloadPeerFinishedRequest', value: {} },
})
const backToSource = AnnouncePeerResponse.fromPartial({
  response: { $case: 'needBackToSourceResponse', value: { description: 'nobody has it' } },
})

async function serve(...services: (readonly Route[])[]): Promise<GrpcServer> {
  const server = await serveGrpc({ services, listen: { host: '127.0.0.1', port: 0 }, drainMs: 50 })
  cleanups.push(() => server[Symbol.asyncDispose]())
  return server
}

/** A scheduler of ours: one answer per registration, the end after the peer's last word. */
const scheduler = implement(schedulerService, {
  async *announcePeer(requests) {
    for await (const { request } of requests) {
      if (request?.$case === 'registerPeerRequest') yield backToSource
      if (request?.$case === 'downloadPeerFinishedRequest') return
    }
  },
  statTask: ({ taskId }, { metadata }) => {
    if (taskId === 'none') throw new Failure('task.unknown', 'no task “none”')
    return { ...emptyTask, id: taskId, state: metadata['x-state'] ?? '' }
  },
})
const emptyTask = schedulerService.statTask.response.decode(new Uint8Array())

function definition(method: Method<unknown, unknown>): grpc.MethodDefinition<unknown, unknown> {
  return {
    path: method.path,
    requestStream: method.kind === 'bidi',
    responseStream: method.kind !== 'unary',
    requestSerialize: (value) => Buffer.from(method.request.encode(value).finish()),
    requestDeserialize: (bytes) => method.request.decode(bytes),
    responseSerialize: (value) => Buffer.from(method.response.encode(value).finish()),
    responseDeserialize: (bytes) => method.response.decode(bytes),
  }
}

describe('a grpc-js client with our server', () => {
  function client(server: GrpcServer): grpc.Client {
    const made = new grpc.Client(server.address, grpc.credentials.createInsecure())
    cleanups.push(() => made.close())
    return made
  }

  function askUnary(
    of: grpc.Client,
    method: Method<unknown, unknown>,
    request: unknown,
    metadata = new grpc.Metadata(),
    options = {},
  ): Promise<unknown> {
    const { path, requestSerialize, responseDeserialize } = definition(method)
    return promisify((done: grpc.requestCallback<unknown>) =>
      of.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, done),
    )()
  }

  test('asks and is answered, metadata included', async () => {
    const metadata = new grpc.Metadata()
    metadata.set('x-state', 'Running')
    const answer = await askUnary(client(await serve(scheduler)), schedulerService.statTask, ids, metadata)
    expect(answer).toMatchObject({ id: 't', state: 'Running' })
  })

  test('sees our failures as statuses with their words', async () => {
    const of = client(await serve(scheduler))
    const none = askUnary(of, schedulerService.statTask, { ...ids, taskId: 'none' })
    await expect(none).rejects.toMatchObject({ code: grpc.status.NOT_FOUND, details: 'no task “none”' })
    const wrong = askUnary(of, schedulerService.statTask, { ...ids, taskId: '' })
    await expect(wrong).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT, details: 'task_id is missing' })
    const missing = askUnary(of, schedulerService.listHosts, {})
    await expect(missing).rejects.toMatchObject({ code: grpc.status.UNIMPLEMENTED })
  })

  test('learns of a failed origin in the details that stock dfget reads', async () => {
    const origin = implement(uploadService, {
      statTask: () => {
        throw new Failure('source.not_found', 'http://a/b: 404', { cause: { status: 404 } })
      },
    })
    const error: unknown = await askUnary(client(await serve(origin)), uploadService.statTask, ids).catch(
      (e: unknown) => e,
    )
    expect(error).toMatchObject({ code: grpc.status.INTERNAL })
    const [details] = (error as grpc.ServiceError).metadata.get('grpc-status-details-bin')
    expect(JSON.parse(String(details))).toEqual({ message: 'http://a/b: 404', header: {}, status_code: 404 })
  })

  test('has its deadline kept', async () => {
    const server = await serve(implement(schedulerService, { statTask: () => new Promise(() => undefined) }))
    const late = askUnary(client(server), schedulerService.statTask, ids, undefined, { deadline: Date.now() + 200 })
    await expect(late).rejects.toMatchObject({ code: grpc.status.DEADLINE_EXCEEDED })
  })

  test('reads a stream to its end', async () => {
    const parent = implement(uploadService, {
      async *syncPieces({ interestedPieceNumbers }) {
        for (const number of interestedPieceNumbers) yield SyncPiecesResponse.fromPartial({ number, ip: '10.0.0.1' })
      },
    })
    const { path, requestSerialize, responseDeserialize } = definition(uploadService.syncPieces)
    const request = uploadService.syncPieces.request.decode(
      uploadService.syncPieces.request
        .encode(
          SyncPiecesRequest.fromPartial({ hostId: 'h', taskId: 't', interestedPieceNumbers: [...Array(2000).keys()] }),
        )
        .finish(),
    )
    const call = client(await serve(parent)).makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
    )
    const numbers: number[] = []
    for await (const response of call) numbers.push((response as SyncPiecesResponse).number)
    expect(numbers).toEqual([...Array(2000).keys()])
  })

  test('talks both ways, and sees the end though it never ended its own side', async () => {
    const { path, requestSerialize, responseDeserialize } = definition(schedulerService.announcePeer)
    const call = client(await serve(scheduler)).makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    await once(call, 'metadata') // before anything was said
    call.write(register)
    const [answer] = (await once(call, 'data')) as [AnnouncePeerResponse]
    expect(answer.response?.$case).toBe('needBackToSourceResponse')
    call.write(finished)
    const [status] = (await once(call, 'status')) as [grpc.StatusObject]
    expect(status.code).toBe(grpc.status.OK)
  })
})

describe('a stock peer waits until its own side is reset', () => {
  /** What comes on a stream whose own side stays open, in order. */
  async function watch(
    server: GrpcServer,
    messages: readonly AnnouncePeerRequest[],
    path = '/scheduler.v2.Scheduler/AnnouncePeer',
  ) {
    const session = http2.connect(`http://${server.address}`)
    cleanups.push(() => session.destroy())
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    const seen: string[] = []
    stream.on('response', (headers) => {
      seen.push('headers')
      if (headers['grpc-status'] !== undefined) seen.push(`status ${String(headers['grpc-status'])}`)
    })
    stream.on('data', () => seen.push('data'))
    stream.on('trailers', (trailers) => seen.push(`status ${String(trailers['grpc-status'])}`))
    stream.on('error', (error) => seen.push(error.message))
    for (const message of messages) stream.write(framed(AnnouncePeerRequest.encode(message).finish()))
    await closed(stream)
    return { seen, code: stream.rstCode }
  }

  test('after its last word it sees data, trailers, then the reset', async () => {
    const server = await serve(scheduler)
    for (let round = 0; round < 50; round++) {
      const { seen, code } = await watch(server, [register, finished])
      expect(seen).toEqual(['headers', 'data', 'status 0'])
      expect(code).toBe(http2.constants.NGHTTP2_NO_ERROR)
    }
  })

  test('also when nothing but a status is answered', async () => {
    const server = await serve(scheduler)
    expect((await watch(server, [], '/scheduler.v2.Scheduler/Nothing')).seen).toEqual(['headers', 'status 12'])
  })

  test('also when the connection is stuffed with the answers of another call', async () => {
    const stuffing = implement(uploadService, {
      async *syncHost() {
        for (let i = 0; i < 60; i++) yield Host.fromPartial({ os: 'x'.repeat(500_000) })
      },
    })
    const server = await serve(scheduler, stuffing)
    const between = await valve(server.port)
    const session = http2.connect(`http://127.0.0.1:${between.port}`, { settings: { initialWindowSize: 2 ** 26 } })
    cleanups.push(() => session.destroy())
    await once(session, 'connect')
    session.setLocalWindowSize(2 ** 26)
    const request = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' }
    const stuffed = session.request({ ...request, ':path': uploadService.syncHost.path })
    stuffed.resume()
    stuffed.write(framed(uploadService.syncHost.request.encode({ hostId: 'h', peerId: 'p' }).finish()))
    await once(stuffed, 'response')
    between.close()
    const stream = session.request({ ...request, ':path': schedulerService.announcePeer.path })
    const seen: string[] = []
    stream.on('data', () => seen.push('data'))
    stream.on('trailers', (trailers) => seen.push(`status ${String(trailers['grpc-status'])}`))
    stream.write(framed(AnnouncePeerRequest.encode(register).finish()))
    stream.write(framed(AnnouncePeerRequest.encode(finished).finish()))
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(seen).toEqual([])
    between.open()
    await closed(stream)
    expect(seen).toEqual(['data', 'status 0'])
    expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR)
  })

  test('and loses no byte when it reads slowly', async () => {
    const long = AnnouncePeerResponse.fromPartial({
      response: { $case: 'needBackToSourceResponse', value: { description: 'x'.repeat(10_000) } },
    })
    const many = implement(schedulerService, {
      async *announcePeer() {
        for (let i = 0; i < 300; i++) yield long
      },
    })
    const server = await serve(many)
    using call = schedulerClient(openChannelTo(server.address)).announcePeer()
    let count = 0
    for await (const _ of call.responses) {
      if (++count % 30 === 0) await new Promise((resolve) => setTimeout(resolve, 30))
    }
    expect(count).toBe(300)
  })
})

async function closed(stream: http2.Http2Stream): Promise<void> {
  await once(stream, 'close')
  await new Promise(setImmediate) // see later.ts
}

/** A TCP connection to `port` whose way back can be shut for a while. */
async function valve(port: number): Promise<{ port: number; close(): void; open(): void }> {
  const servers: net.Socket[] = []
  const listener = net.createServer((client) => {
    const server = net.connect(port, '127.0.0.1')
    servers.push(server)
    server.on('data', (chunk) => client.write(chunk))
    client.on('data', (chunk) => server.write(chunk))
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => undefined)
      one.once('close', () => other.destroy())
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  cleanups.push(() => listener.close())
  const address = listener.address() as net.AddressInfo
  return {
    port: address.port,
    close: () => servers.forEach((server) => server.pause()),
    open: () => servers.forEach((server) => server.resume()),
  }
}

function openChannelTo(address: string): Channel {
  const channel = openChannel(address, { unavailable: 'scheduler.unavailable' })
  cleanups.push(() => channel[Symbol.asyncDispose]())
  return channel
}

describe('our client with a grpc-js server', () => {
  async function grpcJs(service: Service, handlers: grpc.UntypedServiceImplementation): Promise<Channel> {
    const server = new grpc.Server()
    server.addService(
      Object.fromEntries(Object.entries(service).map(([name, method]) => [name, definition(method)])),
      handlers,
    )
    const port = await promisify(server.bindAsync.bind(server))('127.0.0.1:0', grpc.ServerCredentials.createInsecure())
    cleanups.push(() => server.forceShutdown())
    return openChannelTo(`127.0.0.1:${port}`)
  }

  test('asks and is answered, metadata and deadline included', async () => {
    const channel = await grpcJs(schedulerService, {
      statTask: (call: grpc.ServerUnaryCall<typeof ids, unknown>, done: grpc.sendUnaryData<unknown>) => {
        const leftMs = Number(call.getDeadline()) - Date.now()
        const state = `${call.metadata.get('x-state').join()} ${leftMs > 8000 && leftMs <= 10_000}`
        done(null, { ...emptyTask, id: call.request.taskId, state })
      },
    })
    const answer = await schedulerClient(channel).statTask(ids, { metadata: { 'x-state': 'Running' } })
    expect(answer).toMatchObject({ id: 't', state: 'Running true' })
  })

  test('makes Failures of statuses', async () => {
    const channel = await grpcJs(schedulerService, {
      statTask: (call: grpc.ServerUnaryCall<typeof ids, unknown>, done: grpc.sendUnaryData<unknown>) =>
        done({ code: grpc.status[call.request.taskId as StatusName], details: 'naïve 🐉 100 %' }),
    })
    const ask = async (code: StatusName): Promise<unknown> =>
      schedulerClient(channel)
        .statTask({ ...ids, taskId: code })
        .catch((error: unknown) => error)
    expect(await ask('NOT_FOUND')).toMatchObject({ code: 'task.unknown', message: /naïve 🐉 100 %/ })
    expect(await ask('INVALID_ARGUMENT')).toMatchObject({ code: 'usage.invalid' })
    const failed = await ask('FAILED_PRECONDITION')
    expect(failed).toMatchObject({ code: 'scheduler.unavailable', message: /FAILED_PRECONDITION: naïve/ })
    expect(statusOf(failed)).toBe(STATUS.FAILED_PRECONDITION)
    const unimplemented = schedulerClient(channel).listHosts({})
    expect(statusOf(await unimplemented.catch((error: unknown) => error))).toBe(STATUS.UNIMPLEMENTED)
  })

  test('holds a conversation and reads a stream', async () => {
    const channel = await grpcJs(schedulerService, {
      announcePeer: (call: grpc.ServerDuplexStream<AnnouncePeerRequest, AnnouncePeerResponse>) => {
        call.sendMetadata(new grpc.Metadata())
        call.on('data', ({ request }: AnnouncePeerRequest) => {
          if (request?.$case === 'registerPeerRequest') call.write(backToSource)
          else call.end()
        })
      },
    })
    using call = schedulerClient(channel).announcePeer()
    await call.send(register)
    expect((await call.responses.next()).value).toMatchObject(backToSource)
    await call.send(finished)
    expect(await call.responses.next()).toMatchObject({ done: true })

    const parent = await grpcJs(uploadService, {
      syncPieces: (stream: grpc.ServerWritableStream<unknown, SyncPiecesResponse>) => {
        for (let number = 0; number < 500; number++) stream.write(SyncPiecesResponse.fromPartial({ number }))
        stream.emit('error', { code: grpc.status.INTERNAL, details: 'task failed' })
      },
    })
    const numbers: number[] = []
    const request = SyncPiecesRequest.fromPartial({ hostId: 'h', taskId: 't', allPieces: true })
    const reading = (async () => {
      for await (const { number } of uploadClient(parent).syncPieces(request)) numbers.push(number)
    })()
    await expect(reading).rejects.toMatchObject({ message: /INTERNAL: task failed/ })
    expect(numbers).toHaveLength(500)
  })
})

describe('health', () => {
  test('is told for the server and the services it names', async () => {
    const server = await serve(serveHealth(['scheduler.v2.Scheduler']))
    const channel = openChannelTo(server.address)
    expect(await isServing(channel)).toBe(true)
    expect(await isServing(channel, 'scheduler.v2.Scheduler')).toBe(true)
    const other = await isServing(channel, 'other').catch((error: unknown) => error)
    expect(statusOf(other)).toBe(STATUS.NOT_FOUND)
    const watched = await healthClient(channel).watch({ service: '' }).next()
    expect(watched.value).toMatchObject({ status: ServingStatus.SERVING })
  })
})
