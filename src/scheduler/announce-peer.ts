import {
  type AnnouncePeerRequest,
  type AnnouncePeerResponse,
  type Download,
  eachOf,
  type Piece,
  type RegisterPeerRequest,
} from '#api'
import { Failure, isTaskId, messageOf } from '#core'
import type { Logger } from '#runtime'
import {
  answerMessage,
  descriptionOf,
  durationMs,
  emptyTask,
  foundFacts,
  metadataOnly,
  peerWish,
  taskWish,
} from './messages.ts'
import { Outbox } from './outbox.ts'
import { peerFinished, pieceFailed, pieceFinished, sourceFailed, sourceFinished, sourceStarted } from './reports.ts'
import { countWord, type ScheduleDeps, schedule } from './schedule.ts'
import { isBelieved, usableSeeds } from './seeds.ts'
import { agrees, validate } from './swarm/editions.ts'
import type { Description, Edition, Host, Peer, Task } from './swarm/model.ts'
import { isOver } from './swarm/states.ts'
import type { SeedRuns } from './wake-seeds.ts'
import { keepWish } from './wishes.ts'

export interface AnnouncePeerDeps extends ScheduleDeps {
  readonly seeds: Pick<SeedRuns, 'mayWake' | 'wake' | 'registered'>
  readonly log: Logger
}

const MAX_UNREAD = 16

type Said = NonNullable<AnnouncePeerRequest['request']>

/**
 * One download of one host, from its registration to its last word (wire.md §2.3, §6.3, §6.6). A stream that ends
 * without a last word makes its peer a failed one: nobody knows whether its host still lives.
 */
export function announcePeer(
  requests: AsyncIterable<AnnouncePeerRequest>,
  deps: AnnouncePeerDeps,
  signal: AbortSignal,
): AsyncIterableIterator<AnnouncePeerResponse, undefined> {
  const talk = new Talk(deps)
  // At once, and not only when somebody asks for the next answer: others wait for this news.
  signal.addEventListener('abort', () => talk.end(), { once: true })
  void talk.listen(requests)
  return talk.answers
}

/** There are as many of these as peers: what only some of them need, and not for long, is made when it is needed. */
class Talk {
  readonly answers = new Outbox<AnnouncePeerResponse>(() => this.end())
  readonly #deps: AnnouncePeerDeps
  #peer: Peer | undefined
  /** What a seed is told that is woken for it. */
  #wish: Download | undefined
  /** Ends the search for parents that goes on now. */
  #scheduling: AbortController | undefined
  #heardAll = false
  #over = false

  constructor(deps: AnnouncePeerDeps) {
    this.#deps = deps
  }

  /** Takes requests until the last word, or until the caller is gone. Never throws: failures end the answers. */
  async listen(requests: AsyncIterable<AnnouncePeerRequest>): Promise<void> {
    try {
      await eachOf(requests, (message) => this.#over || this.#take(message))
      // Who only closed its own half may still wait for parents: its stream ends when they were named.
      this.#heardAll = true
      if (this.#scheduling === undefined) this.answers.end()
    } catch (error) {
      this.answers.fail(error)
    }
  }

  /** The call is over, in whatever way. */
  end(): void {
    if (this.#over) return
    this.#close('the call is over')
    const peer = this.#peer
    if (peer === undefined) return
    peer.connected = false
    if (!isOver(peer.state)) this.#deps.swarm.move(peer, 'fail', this.#deps.clock.now())
  }

  #close(why: string): void {
    this.#over = true
    this.#scheduling?.abort(new Failure('download.cancelled', why))
    this.answers.end()
  }

  /** True when this was the last word. */
  #take(message: AnnouncePeerRequest): boolean {
    const { request } = message
    if (request === undefined) throw new Failure('usage.invalid', 'the message says nothing')
    if (request.$case === 'registerPeerRequest') {
      if (this.#peer !== undefined) throw new Failure('usage.invalid', `peer ${this.#peer.id} has registered already`)
      this.#register(message, request.value)
      return false
    }
    const peer = this.#peer
    if (peer === undefined) throw new Failure('usage.invalid', 'the first message has to be the registration')
    if (message.peerId !== peer.id || message.taskId !== peer.task.id || message.hostId !== peer.host.id)
      throw new Failure('usage.invalid', `this stream belongs to peer ${peer.id} of task ${peer.task.id}`)
    if (peer.state === 'left')
      throw new Failure('task.unknown', `peer ${peer.id} was silent for too long, or was deleted, and is forgotten`)
    return this.#report(peer, request)
  }

  #report(peer: Peer, request: Said): boolean {
    const { swarm, clock } = this.#deps
    const nowMs = clock.now()
    peer.host.touchedAtMs = nowMs
    switch (request.$case) {
      case 'downloadPeerStartedRequest':
        swarm.move(peer, 'start', nowMs)
        return false
      case 'downloadPeerBackToSourceStartedRequest':
        sourceStarted(peer, foundFacts(request.value.facts), swarm, nowMs)
        this.#deps.seeds.registered(peer)
        return false
      case 'reschedulePeerRequest':
        for (const { id } of request.value.candidateParents) swarm.block(peer, id, nowMs)
        this.#plan(peer)
        return false
      case 'downloadPieceFinishedRequest':
      case 'downloadPieceBackToSourceFinishedRequest':
        if (request.value.piece !== undefined) pieceFinished(peer, finishedPiece(request.value.piece), nowMs)
        return false
      case 'downloadPieceFailedRequest':
        pieceFailed(peer, request.value, swarm, nowMs)
        return false
      case 'downloadPieceBackToSourceFailedRequest':
        this.#deps.log.info({ peer: peer.id, task: peer.task.id }, 'a host cannot read a piece from the origin')
        return false
      case 'downloadPeerFinishedRequest':
        return this.#last(peer, peerFinished(peer, swarm, nowMs), request)
      case 'downloadPeerBackToSourceFinishedRequest':
        return this.#last(peer, sourceFinished(peer, request.value.contentLength, swarm, nowMs), request)
      case 'downloadPeerFailedRequest':
        return this.#last(peer, swarm.move(peer, 'fail', nowMs), request)
      case 'downloadPeerBackToSourceFailedRequest':
        return this.#last(peer, sourceFailed(peer, swarm, nowMs), request)
      default:
        return false
    }
  }

  #last(peer: Peer, moved: boolean, request: Said): true {
    if (!moved) throw new Failure('usage.invalid', `${request.$case} cannot follow the state ${peer.state}`)
    peer.connected = false
    this.#close('the peer has said its last word')
    return true
  }

  /** Makes the peer, and answers: empty, metadata only, or a plan (wire.md §6.3). */
  #register(message: AnnouncePeerRequest, { download }: RegisterPeerRequest): void {
    const { swarm, clock, seeds } = this.#deps
    const nowMs = clock.now()
    const host = swarm.hosts.get(message.hostId)
    if (host === undefined)
      throw new Failure('host.unknown', `host ${message.hostId} is not known here; it has to announce itself first`)
    if (download === undefined || !isTaskId(message.taskId))
      throw new Failure('usage.invalid', `"${message.taskId.slice(0, 100)}" is no task id, or the download is missing`)
    host.touchedAtMs = nowMs
    const task = swarm.openTask(taskWish(message.taskId, download), nowMs)
    const peer = swarm.openPeer(task, host, peerWish(message.peerId, download), nowMs)
    this.#peer = peer
    this.#wish = keepWish(task, download)
    const edition = this.#describe(task, download)
    if (edition !== undefined) swarm.join(peer, edition)
    const asked = seeds.registered(peer)
    // Who has the task from earlier did not look at the origin for it, unless this scheduler has just asked for that.
    if (edition !== undefined && (asked || !download.metadataOnly)) validate(edition, host, nowMs)
    swarm.moveTask(task, 'download')
    if (download.metadataOnly) this.#welcome(peer, host, edition, nowMs)
    else if (descriptionOf(download)?.contentLength === 0) this.#answer(peer, 'register-empty', emptyTask(peer))
    else {
      swarm.move(peer, 'register-normal', nowMs)
      this.#plan(peer)
    }
  }

  /** A stock host tells a length only: it is taken to mean the newest edition of that length. */
  #describe(task: Task, download: Download): Edition | undefined {
    const told = descriptionOf(download)
    if (told === undefined) return undefined
    if (told.version !== undefined) return this.#deps.swarm.edition(task, { ...told, version: told.version })
    const like = (version: string): Description => ({ ...told, version })
    return (
      task.editions.findLast((edition) => agrees(edition, like(edition.version))) ??
      this.#deps.swarm.edition(task, like(''))
    )
  }

  /** A host that has the whole task. Its word counts as if it had just read the origin for it, where no other does. */
  #welcome(peer: Peer, host: Host, edition: Edition | undefined, nowMs: number): void {
    const { swarm } = this.#deps
    if (edition !== undefined && (host.facts.seed || edition.signers.size === 0)) {
      const usable = usableSeeds(swarm.seeds, peer.task, edition, nowMs)
      if (isBelieved(host, usable)) countWord(peer, edition, true, swarm)
    }
    this.#answer(peer, 'register-normal', metadataOnly())
  }

  #answer(peer: Peer, event: 'register-empty' | 'register-normal', answer: AnnouncePeerResponse): void {
    this.#deps.swarm.move(peer, event, this.#deps.clock.now())
    this.answers.put(answer)
  }

  /** Looks for parents in the background: reports go on meanwhile. */
  #plan(peer: Peer): void {
    const wish = this.#wish
    if (this.#scheduling !== undefined || wish === undefined) return
    if (this.answers.size >= MAX_UNREAD)
      throw new Failure('usage.invalid', `peer ${peer.id} asks for plans and does not read them`)
    const scheduling = new AbortController()
    this.#scheduling = scheduling
    schedule(peer, wish, this.#deps, scheduling.signal)
      .then(
        (answer) => {
          this.#deps.log.debug({ peer: peer.id, task: peer.task.id, answer: answer.kind }, 'planned')
          this.answers.put(answerMessage(answer, peer))
          if (this.#heardAll) this.answers.end()
        },
        (error: unknown) => {
          if (scheduling.signal.aborted) return
          this.#deps.log.info({ peer: peer.id, task: peer.task.id, why: messageOf(error) }, 'no plan')
          this.answers.fail(error)
        },
      )
      .finally(() => {
        this.#scheduling = undefined
      })
      // Only a bug gets here; it ends this call, not the scheduler.
      .catch((error: unknown) => this.answers.fail(error))
  }
}

function finishedPiece({ number, cost, parentId }: Piece): {
  number: number
  costMs: number
  parentId: string | undefined
} {
  return { number, costMs: cost === undefined ? 0 : durationMs(cost), parentId: parentId || undefined }
}
