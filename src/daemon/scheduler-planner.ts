import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AnnouncePeerRequest,
  type AnnouncePeerResponse,
  Download,
  type Peer,
  Piece,
  Priority,
  type SchedulerClient,
  type TaskFacts as TaskFactsMessage,
  TaskFacts as TaskFactsCodec,
  TaskType,
  TrafficType,
} from '#api'
import { asFailure, Failure, formatPieceDigest, type HostIdentity, newPeerId, pieceCount } from '#core'
import type { Logger } from '#runtime'
import type { HeldPiece } from '#storage'
import type { Parent, Plan, Planner, PlanSession, Registration, TaskFacts } from './plan.ts'

export interface SchedulerPlannerDeps {
  readonly host: HostIdentity
  readonly schedulers: readonly SchedulerClient[]
  /** Tells the schedulers of this host; asked for when one of them has forgotten it. */
  announce(): Promise<void>
  /** How long a scheduler may take for a plan. */
  readonly scheduleTimeoutMs: number
  readonly log: Logger
}

/** Plans by a scheduler, over one AnnouncePeer stream per download. One that is silent or gone plans the source. */
export function schedulerPlanner(deps: SchedulerPlannerDeps): Planner {
  return { swarm: true, begin: (registration) => new Session(registration, deps) }
}

type Said = NonNullable<AnnouncePeerRequest['request']>
type Call = ReturnType<SchedulerClient['announcePeer']>

const MAX_PARENTS = 64

class Session implements PlanSession {
  readonly peerId: string
  readonly #registration: Registration
  readonly #deps: SchedulerPlannerDeps
  #call: Call | undefined
  #answers: AsyncIterator<AnnouncePeerResponse> | undefined
  #candidates: Peer[] = []
  #readsSource = false
  /** A plan that was asked for while another one was followed. */
  #refreshing: Promise<Plan> | undefined
  /** Why the scheduler plans no more. */
  #lost: string | undefined
  readonly #stop = new AbortController()

  constructor(registration: Registration, deps: SchedulerPlannerDeps) {
    this.#registration = registration
    this.#deps = deps
    this.peerId = newPeerId(deps.host.ip, deps.host.hostname, deps.host.seed)
  }

  async next(signal: AbortSignal): Promise<Plan> {
    const late = this.#refreshing?.catch(() => undefined)
    const refreshed = late && (await orAborted(late, signal))
    this.#refreshing = undefined
    if (refreshed !== undefined) return refreshed
    for (const scheduler of this.#call === undefined ? this.#inOrder() : [undefined]) {
      if (this.#lost !== undefined && scheduler === undefined) break
      try {
        return await this.#ask(scheduler, signal)
      } catch (error) {
        signal.throwIfAborted()
        const failure = asFailure(error, 'scheduler.unavailable')
        if (failure.code === 'internal') throw error
        this.#lost = failure.message
        this.#deps.log.warn({ task: this.#registration.taskId, why: failure.message }, 'the scheduler gives no plan')
      }
    }
    return { kind: 'source', facts: undefined, why: this.#lost ?? 'no scheduler' }
  }

  /** An answer that comes late is for the next plan. */
  async refresh(signal: AbortSignal): Promise<Plan> {
    const refreshing = (this.#refreshing ??= this.#askAgain([]))
    refreshing.catch(() => (this.#refreshing = undefined)) // the next one asks anew
    const plan = await orAborted(refreshing, signal)
    if (plan.kind === 'parents') this.#refreshing = undefined
    return plan
  }

  /** Asks for other parents than these. */
  async #askAgain(candidateParents: Peer[]): Promise<Plan> {
    const value = { candidateParents, description: 'pieces are missing' }
    this.#say({ $case: 'reschedulePeerRequest', value })
    return this.#read(await this.#answer(this.#stop.signal))
  }

  /** The schedulers, the one first that every host picks for this task. */
  #inOrder(): SchedulerClient[] {
    const weigh = (client: SchedulerClient): string =>
      createHash('sha256').update(`${client.address} ${this.#registration.taskId}`).digest('hex')
    return [...this.#deps.schedulers].sort((a, b) => (weigh(a) < weigh(b) ? -1 : 1))
  }

  async #ask(scheduler: SchedulerClient | undefined, signal: AbortSignal): Promise<Plan> {
    if (scheduler === undefined) return await orAborted(this.#askAgain(this.#candidates), signal)
    try {
      return await this.#register(scheduler, signal)
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'host.unknown') throw error
      await this.#deps.announce()
      return await this.#register(scheduler, signal)
    }
  }

  async #register(scheduler: SchedulerClient, signal: AbortSignal): Promise<Plan> {
    this.#lost = undefined
    this.#call = scheduler.announcePeer({ signal: this.#stop.signal })
    this.#answers = this.#call.responses[Symbol.asyncIterator]()
    this.#say({ $case: 'registerPeerRequest', value: { download: downloadOf(this.#registration) } })
    return this.#read(await this.#answer(signal))
  }

  async #answer(signal: AbortSignal): Promise<AnnouncePeerResponse> {
    const timer = new AbortController()
    const late = sleep(this.#deps.scheduleTimeoutMs, undefined, {
      signal: AbortSignal.any([timer.signal, signal]),
      ref: false,
    }).then(() => {
      throw new Failure('scheduler.unavailable', `the scheduler made no plan within ${this.#deps.scheduleTimeoutMs} ms`)
    })
    late.catch(() => undefined)
    try {
      const answer = await Promise.race([this.#answers?.next(), late])
      if (answer === undefined || answer.done)
        throw new Failure('scheduler.unavailable', 'the scheduler ended the talk')
      return answer.value
    } finally {
      timer.abort()
    }
  }

  #read({ response }: AnnouncePeerResponse): Plan {
    switch (response?.$case) {
      case 'normalTaskResponse': {
        const named = response.value.candidateParents.slice(0, MAX_PARENTS)
        this.#candidates = [
          ...this.#candidates.filter(({ id }) => !named.some((peer) => peer.id === id)),
          ...named,
        ].slice(-MAX_PARENTS)
        this.#say({ $case: 'downloadPeerStartedRequest', value: {} })
        return { kind: 'parents', parents: named.flatMap(parentOf), facts: factsOf(response.value.facts) }
      }
      case 'needBackToSourceResponse': {
        this.#readsSource = true
        const { found } = this.#registration
        const facts = found && TaskFactsCodec.fromPartial({ ...found, responseHeader: found.headers, signers: [] })
        this.#say({ $case: 'downloadPeerBackToSourceStartedRequest', value: { facts } })
        return {
          kind: 'source',
          facts: factsOf(response.value.facts),
          why: response.value.description ?? 'the scheduler says so',
        }
      }
      case 'emptyTaskResponse':
        this.#say({ $case: 'downloadPeerStartedRequest', value: {} })
        return { kind: 'nothing', facts: factsOf(response.value.facts) }
      default:
        throw new Failure(
          'scheduler.unavailable',
          `the scheduler answered ${response?.$case ?? 'nothing'} to a registration`,
        )
    }
  }

  held(piece: HeldPiece): void {
    const value = { piece: pieceMessage(piece) }
    if (piece.traffic === 'source') this.#say({ $case: 'downloadPieceBackToSourceFinishedRequest', value })
    else this.#say({ $case: 'downloadPieceFinishedRequest', value })
  }

  failed(number: number, parentId: string, why: { corrupt: boolean }): void {
    this.#say({
      $case: 'downloadPieceFailedRequest',
      value: { pieceNumber: number, parentId, temporary: true, corrupt: why.corrupt },
    })
  }

  async finish(outcome: { contentLength: number } | Failure): Promise<void> {
    if (this.#call === undefined || this.#lost !== undefined) return
    this.#say(lastWord(outcome, this.#readsSource))
    this.#call.end()
    const ended = (async () => {
      while (!(await this.#answers?.next())?.done);
    })()
    await Promise.race([ended.catch(() => undefined), sleep(2000, undefined, { ref: false })])
  }

  #say(request: Said): void {
    if (this.#call === undefined || this.#lost !== undefined) return
    const { taskId } = this.#registration
    const message = AnnouncePeerRequest.fromPartial({ hostId: this.#deps.host.id, taskId, peerId: this.peerId })
    this.#call.send({ ...message, request }).catch((error: unknown) => {
      this.#lost ??= asFailure(error, 'scheduler.unavailable').message
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#call?.[Symbol.dispose]()
    await this.#answers?.return?.().catch(() => undefined)
  }
}

/** The same promise, unless the signal ends the wait before; its outcome is then nobody's. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () =>
      reject(signal.reason instanceof Error ? signal.reason : new Failure('download.cancelled', 'cancelled'))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
  })
  promise.catch(() => undefined)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function lastWord(outcome: { contentLength: number } | Failure, readsSource: boolean): Said {
  if (outcome instanceof Failure) {
    const value = { description: outcome.message.slice(0, 1024) }
    return readsSource
      ? { $case: 'downloadPeerBackToSourceFailedRequest', value }
      : { $case: 'downloadPeerFailedRequest', value }
  }
  return readsSource
    ? { $case: 'downloadPeerBackToSourceFinishedRequest', value: { contentLength: outcome.contentLength } }
    : { $case: 'downloadPeerFinishedRequest', value: {} }
}

/** The wish as the wire wants it. What was found at the origin is only told where the origin was asked. */
export function downloadOf(registration: Registration, metadataOnly = false): Download {
  const { found } = registration
  const length = found?.contentLength
  return Download.fromPartial({
    url: registration.url,
    type: TaskType.STANDARD,
    priority: Priority.LEVEL6,
    tag: registration.tag,
    application: registration.application,
    filteredQueryParams: [...registration.filteredQueryParams],
    requestHeader: { ...registration.headers },
    pieceLength: registration.requestedPieceLength,
    range: registration.range,
    disableBackToSource: registration.disableBackSource,
    needBackToSource: registration.needBackSource,
    metadataOnly,
    version: found?.version,
    etag: found?.etag ?? '',
    lastModified: found?.lastModified ?? '',
    actualPieceLength: found?.pieceLength,
    actualContentLength: length,
    actualPieceCount: found !== undefined && length !== undefined ? pieceCount(length, found.pieceLength) : undefined,
  })
}

export function pieceMessage(piece: HeldPiece): Piece {
  const { number, offset, length, crc32, traffic, parentId, costMs, createdAt } = piece
  return Piece.fromPartial({
    number,
    offset,
    length,
    digest: formatPieceDigest(crc32),
    trafficType: traffic === 'source' ? TrafficType.BACK_TO_SOURCE : TrafficType.REMOTE_PEER,
    ...(parentId === '' ? {} : { parentId }),
    cost: { seconds: Math.floor(costMs / 1000), nanos: Math.floor((costMs % 1000) * 1e6) },
    createdAt: { seconds: Math.floor(createdAt / 1000), nanos: Math.floor(createdAt % 1000) * 1e6 },
  })
}

function parentOf(peer: Peer): Parent[] {
  const { host } = peer
  if (peer.id === '' || host === undefined || host.ip === '' || host.port <= 0 || host.port > 65535) return []
  return [{ id: peer.id, hostId: host.id, hostname: host.hostname, ip: host.ip, port: host.port }]
}

function factsOf(facts: TaskFactsMessage | undefined): TaskFacts | undefined {
  if (facts === undefined || facts.pieceLength <= 0) return undefined
  const { contentLength, pieceLength, version, etag, lastModified, responseHeader, signers } = facts
  return {
    contentLength,
    pieceLength,
    version,
    etag,
    lastModified,
    headers: responseHeader,
    signers: signers.slice(0, 256),
  }
}
