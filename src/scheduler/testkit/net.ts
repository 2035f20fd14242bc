import {
  AnnouncePeerRequest,
  type AnnouncePeerResponse,
  Download,
  type DownloadTaskResponse,
  Host as HostMessage,
  implement,
  openChannel,
  Piece,
  type SchedulerClient,
  schedulerClient,
  serveGrpc,
  uploadService,
} from '#api'
import { resolveSettings } from '#core'
import { Scope, silentLog } from '#runtime'
import { type Scheduler, type SchedulerOptions, startScheduler } from '../server.ts'
import { schedulerSettings } from '../settings.ts'
import { DESCRIBED, keyOf, MiB, TASK_ID } from './swarm.ts'

type Said = NonNullable<AnnouncePeerRequest['request']>
type AnswerCase = NonNullable<AnnouncePeerResponse['response']>['$case']
type AnswerOf<C extends AnswerCase> = Extract<NonNullable<AnnouncePeerResponse['response']>, { $case: C }>['value']

export const DOWNLOAD = Download.fromPartial({
  url: 'http://origin/file',
  priority: 6,
  version: DESCRIBED.version,
  etag: '"1"',
  actualContentLength: 40 * MiB,
  actualPieceLength: 4 * MiB,
  actualPieceCount: 10,
})

/** As from a host that has no plugin for the origin. */
export const UNDESCRIBED = Download.fromPartial({ url: 'http://origin/file', priority: 6 })

/** A real scheduler on loopback, and hosts that talk to it over gRPC. */
export class TestNet implements AsyncDisposable {
  readonly scheduler: Scheduler
  readonly client: SchedulerClient
  readonly #scope: Scope

  private constructor(scheduler: Scheduler, client: SchedulerClient, scope: Scope) {
    this.scheduler = scheduler
    this.client = client
    this.#scope = scope
  }

  static async start(
    settings: Record<string, unknown> = {},
    options: Partial<Omit<SchedulerOptions, 'settings'>> = {},
  ): Promise<TestNet> {
    const scope = new Scope()
    const resolved = resolveSettings(schedulerSettings, [{ port: 0, ...settings }])
    const scheduler = scope.own(await startScheduler({ log: silentLog, ...options, settings: resolved }))
    const channel = scope.own(openChannel(scheduler.address, { unavailable: 'scheduler.unavailable' }))
    return new TestNet(scheduler, schedulerClient(channel), scope)
  }

  async host(id: string, more: Parameters<typeof HostMessage.fromPartial>[0] = {}): Promise<TestHost> {
    const message = HostMessage.fromPartial({
      id,
      hostname: id,
      ip: '127.0.0.1',
      port: 4000,
      publicKey: keyOf(id),
      ...more,
    })
    await this.client.announceHost({ host: message, interval: { seconds: 60, nanos: 0 } })
    return new TestHost(id, this.client)
  }

  /** A seed with a real upload service; `bring` is what it does when it is woken. */
  async seed(
    id: string,
    bring: (download: Download, seed: TestHost, signal: AbortSignal) => Promise<void>,
  ): Promise<TestHost> {
    let host: TestHost | undefined
    async function* downloadTask(
      { download = DOWNLOAD }: { download?: Download | undefined },
      { signal }: { signal: AbortSignal },
    ): AsyncGenerator<DownloadTaskResponse> {
      if (host !== undefined) await bring(download, host, signal)
      yield* []
    }
    const server = this.#scope.own(
      await serveGrpc({
        services: [implement(uploadService, { downloadTask })],
        listen: { host: '127.0.0.1', port: 0 },
        drainMs: 0,
      }),
    )
    host = await this.host(id, { type: 1, port: server.port })
    return host
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]()
  }
}

let peers = 0

export class TestHost {
  readonly id: string
  readonly #client: SchedulerClient

  constructor(id: string, client: SchedulerClient) {
    this.id = id
    this.#client = client
  }

  /** Opens a stream and registers; the answer is for `peer.answer`. */
  async register(download: Download = DOWNLOAD, taskId = TASK_ID): Promise<TestPeer> {
    const peer = new TestPeer(this.id, taskId, `${this.id}-peer-${++peers}`, this.#client)
    await peer.say({ $case: 'registerPeerRequest', value: { download } })
    return peer
  }

  /** Registers, is sent to the origin, and says that it reads it. */
  async readOrigin(download: Download = DOWNLOAD): Promise<TestPeer> {
    const peer = await this.register(download)
    await peer.answer('needBackToSourceResponse')
    await peer.say({ $case: 'downloadPeerBackToSourceStartedRequest', value: { facts: undefined } })
    return peer
  }
}

/** One stream of AnnouncePeer, spoken by hand. */
export class TestPeer implements Disposable {
  readonly id: string
  readonly taskId: string
  readonly #hostId: string
  readonly #call: ReturnType<SchedulerClient['announcePeer']>
  readonly #answers: AsyncIterator<AnnouncePeerResponse, undefined>

  constructor(hostId: string, taskId: string, id: string, client: SchedulerClient) {
    this.id = id
    this.taskId = taskId
    this.#hostId = hostId
    this.#call = client.announcePeer()
    this.#answers = this.#call.responses
  }

  say(request: Said): Promise<void> {
    const base = AnnouncePeerRequest.fromPartial({ hostId: this.#hostId, taskId: this.taskId, peerId: this.id })
    return this.#call.send({ ...base, request })
  }

  async answer<C extends AnswerCase>(expected: C): Promise<AnswerOf<C>> {
    const { value } = await this.#answers.next()
    const response = value?.response
    if (response?.$case !== expected) throw new Error(`expected ${expected}, got ${response?.$case ?? 'the end'}`)
    return response.value as AnswerOf<C>
  }

  /** Ids of the parents it is given. */
  async parents(): Promise<string[]> {
    const { candidateParents } = await this.answer('normalTaskResponse')
    return candidateParents.map(({ id }) => id)
  }

  /** Fetched or read the pieces, in no time. */
  async pieces(numbers: readonly number[], parentId?: string): Promise<void> {
    for (const number of numbers) {
      const piece = Piece.fromPartial({ number, length: 4 * MiB, cost: { nanos: 1e6 }, createdAt: {}, parentId })
      await this.say(
        parentId === undefined
          ? { $case: 'downloadPieceBackToSourceFinishedRequest', value: { piece } }
          : { $case: 'downloadPieceFinishedRequest', value: { piece } },
      )
    }
  }

  started(): Promise<void> {
    return this.say({ $case: 'downloadPeerStartedRequest', value: {} })
  }

  /** Says that everything is here, and waits for the stream's end. */
  async finish(): Promise<void> {
    await this.say({ $case: 'downloadPeerFinishedRequest', value: {} })
    await this.ended()
  }

  async finishReading(contentLength?: number): Promise<void> {
    await this.say({ $case: 'downloadPeerBackToSourceFinishedRequest', value: { contentLength } })
    await this.ended()
  }

  /** Resolves at an OK end; rejects with why it failed. */
  async ended(): Promise<void> {
    const { done, value } = await this.#answers.next()
    if (!done) throw new Error(`expected the end, got ${value?.response?.$case}`)
  }

  /** As when its process dies. */
  [Symbol.dispose](): void {
    this.#call[Symbol.dispose]()
  }
}
