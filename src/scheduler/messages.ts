import {
  AnnouncePeerResponse,
  type Download,
  type Duration,
  Host as HostMessage,
  type Peer as PeerMessage,
  SizeScope,
  Task as TaskMessage,
  TaskFacts,
  TaskType,
  type Timestamp,
} from '#api'
import { Failure, MAX_PIECE_LENGTH, MIN_PIECE_LENGTH, pieceCount, versionOf } from '#core'
import type { FoundFacts } from './reports.ts'
import type { Answer } from './schedule.ts'
import { latestEdition, pieceLengthOf } from './swarm/editions.ts'
import type { Description, Edition, Host, HostFacts, Peer, Task } from './swarm/model.ts'
import type { PeerState, TaskState } from './swarm/states.ts'
import type { PeerWish, TaskWish } from './swarm/swarm.ts'

const DEFAULT_INTERVAL_MS = 300_000
const MIN_INTERVAL_MS = 1000
const MAX_INTERVAL_MS = 3_600_000
const DEFAULT_CONCURRENT_PIECES = 8
const MAX_CONCURRENT_PIECES = 1024
const MAX_HOST_BYTES = 64 * 1024

/** The names that the field's programs know the states by. */
const PEER_STATES: Record<PeerState, string> = {
  pending: 'Pending',
  'received-empty': 'ReceivedEmpty',
  'received-normal': 'ReceivedNormal',
  running: 'Running',
  'back-to-source': 'BackToSource',
  succeeded: 'Succeeded',
  failed: 'Failed',
  left: 'Leave',
}
const TASK_STATES: Record<TaskState, string> = {
  pending: 'Pending',
  running: 'Running',
  succeeded: 'Succeeded',
  failed: 'Failed',
  left: 'Leave',
}

/** An announcement as the swarm keeps it. */
export function hostFacts(
  message: HostMessage,
  interval: Duration | undefined,
  limits: { peerUploadLimit: number; seedUploadLimit: number },
): HostFacts {
  if (HostMessage.encode(message).finish().length > MAX_HOST_BYTES)
    throw new Failure('usage.invalid', `the announcement of host ${message.id} is longer than ${MAX_HOST_BYTES} bytes`)
  const seed = message.type !== 0
  // The decoded one is a view that keeps all bytes of the announcement. (No copy of the message: see `newPeer`.)
  const publicKey = new Uint8Array(message.publicKey)
  message.publicKey = publicKey
  const intervalMs = interval === undefined ? DEFAULT_INTERVAL_MS : durationMs(interval)
  return {
    id: message.id,
    seed,
    ip: message.ip,
    port: message.port,
    disableShared: message.disableShared,
    idc: message.network?.idc ?? '',
    location: message.network?.location ?? '',
    maxTxBps: message.network?.maxTxBandwidth ?? 0,
    publicKey: publicKey.length === 0 ? undefined : publicKey,
    intervalMs: Math.min(Math.max(intervalMs, MIN_INTERVAL_MS), MAX_INTERVAL_MS),
    uploadLimit: seed ? limits.seedUploadLimit : limits.peerUploadLimit,
    message,
  }
}

export function taskWish(id: string, download: Download): TaskWish {
  const { url, tag = '', application = '', filteredQueryParams } = download
  return { id, url, tag, application, filteredQueryParams }
}

export function peerWish(id: string, download: Download): PeerWish {
  const { range, priority, needBackToSource, disableBackToSource, concurrentPieceCount } = download
  return {
    id,
    range: range && range.length > 0 ? { start: range.start, end: range.start + range.length - 1 } : undefined,
    priority,
    concurrentPieces: Math.min(concurrentPieceCount || DEFAULT_CONCURRENT_PIECES, MAX_CONCURRENT_PIECES),
    wantsSource: needBackToSource,
    sourceForbidden: disableBackToSource,
  }
}

/**
 * What the host found at the origin, or undefined when it could not look. A stock host tells a length and no version:
 * its version is undefined.
 */
export function descriptionOf(
  download: Download,
): (Omit<Description, 'version'> & { version: string | undefined }) | undefined {
  const { version, actualContentLength, actualPieceLength } = download
  if (version === undefined && actualContentLength === undefined) return undefined
  return {
    version,
    ...validators(download),
    contentLength: actualContentLength,
    pieceLength: pieceLengthFrom(actualPieceLength),
  }
}

export function foundFacts(facts: TaskFacts | undefined): FoundFacts | undefined {
  if (facts === undefined) return undefined
  const { version, contentLength, responseHeader } = facts
  const pieceLength = pieceLengthFrom(facts.pieceLength)
  return { version, ...validators(facts), contentLength, pieceLength, headers: responseHeader }
}

export function emptyTask({ edition }: Peer): AnnouncePeerResponse {
  const value = { facts: edition && factsMessage(edition) }
  return AnnouncePeerResponse.fromPartial({ response: { $case: 'emptyTaskResponse', value } })
}

export function metadataOnly(): AnnouncePeerResponse {
  return AnnouncePeerResponse.fromPartial({ response: { $case: 'metadataOnlyResponse', value: {} } })
}

/** What a child is told. */
export function answerMessage(answer: Answer, peer: Peer): AnnouncePeerResponse {
  const { edition } = peer
  const facts = edition && factsMessage(edition)
  if (answer.kind === 'source') {
    const value = { description: answer.why, facts }
    return AnnouncePeerResponse.fromPartial({ response: { $case: 'needBackToSourceResponse', value } })
  }
  const task = asField(TaskMessage.encode(taskMessage(peer.task, edition)).finish())
  const candidateParents = answer.parents.map((parent) => namedParent(parent, task))
  return { response: { $case: 'normalTaskResponse', value: { candidateParents, facts } } }
}

function factsMessage(edition: Edition): TaskFacts {
  const { contentLength, version, etag, lastModified, headers, signers } = edition
  return TaskFacts.fromPartial({
    contentLength,
    pieceLength: pieceLengthOf(edition),
    version,
    etag,
    lastModified,
    responseHeader: { ...headers },
    signers: [...signers].map(([hostId, publicKey]) => ({ hostId, publicKey })),
  })
}

/** With every field that stock schedulers want echoed (wire.md §6.9). The messages within may be shared: leave them alone. */
export function peerMessage(peer: Peer): PeerMessage {
  return peerFields(peer, taskMessage(peer.task, peer.edition), peer.host.facts.message)
}

/** Fields of a Peer that are messages, as their numbers are written. */
const TASK_FIELD = 58
const HOST_FIELD = 66

/**
 * The same for a child. Plans are what costs a scheduler most, so the task is written once for all parents of a plan,
 * and a host once for all plans: of the two, only bytes are put together.
 */
function namedParent(parent: Peer, task: Uint8Array): PeerMessage {
  const message = peerFields(parent, undefined, undefined)
  message._unknownFields = { [TASK_FIELD]: [task], [HOST_FIELD]: [writtenHost(parent.host)] }
  return message
}

/** Kept as a string of bytes: an Uint8Array for each host would take twice the memory. */
function writtenHost(host: Host): Uint8Array {
  host.written ??= asField(HostMessage.encode(host.facts.message).finish()).toString('latin1')
  return Buffer.from(host.written, 'latin1')
}

/** A message as it stands within another one: behind its length. */
function asField(message: Uint8Array): Buffer {
  const length: number[] = []
  let left = message.length
  for (; left > 0x7f; left >>>= 7) length.push((left & 0x7f) | 0x80)
  return Buffer.concat([Uint8Array.of(...length, left), message])
}

function peerFields(peer: Peer, task: TaskMessage | undefined, host: HostMessage | undefined): PeerMessage {
  const { range } = peer
  return {
    id: peer.id,
    range: range && { start: range.start, length: range.end - range.start + 1 },
    priority: peer.priority,
    pieces: [],
    cost: { seconds: Math.floor((peer.touchedAtMs - peer.createdAtMs) / 1000), nanos: 0 },
    state: PEER_STATES[peer.state],
    task,
    host,
    needBackToSource: peer.wantsSource,
    createdAt: timestamp(peer.createdAtMs),
    updatedAt: timestamp(peer.touchedAtMs),
    concurrentPieceCount: peer.concurrentPieces,
  }
}

/** The task in one edition; the latest when none is named. */
export function taskMessage(task: Task, edition = latestEdition(task, false)): TaskMessage {
  const contentLength = edition?.contentLength
  const pieceLength = edition === undefined ? 0 : pieceLengthOf(edition)
  const count = contentLength === undefined ? 0 : pieceCount(contentLength, pieceLength)
  return TaskMessage.fromPartial({
    id: task.id,
    type: TaskType.STANDARD,
    url: task.url,
    tag: task.tag,
    application: task.application,
    filteredQueryParams: [...task.filteredQueryParams],
    contentLength: contentLength ?? 0,
    pieceCount: count,
    sizeScope: sizeScope(contentLength, count),
    state: TASK_STATES[task.state],
    peerCount: task.peers.size,
    hasAvailablePeer: (edition?.offering.size ?? 0) > 0,
    createdAt: timestamp(task.createdAtMs),
    updatedAt: timestamp(task.touchedAtMs),
    pieceLength,
    version: edition?.version ?? '',
  })
}

/** Milliseconds. */
export function durationMs({ seconds, nanos }: Duration): number {
  return seconds * 1000 + nanos / 1e6
}

const TINY_BYTES = 128

function sizeScope(contentLength: number | undefined, count: number): SizeScope {
  if (contentLength === undefined) return SizeScope.UNKNOW
  if (contentLength === 0) return SizeScope.EMPTY
  if (contentLength <= TINY_BYTES) return SizeScope.TINY
  return count === 1 ? SizeScope.SMALL : SizeScope.NORMAL
}

/** The validators behind a version. What does not make that version is not passed on under its name. */
function validators(told: { version?: string | undefined; etag: string; lastModified: string }): {
  etag: string
  lastModified: string
} {
  const { etag, lastModified } = told
  return versionOf(told) === told.version ? { etag, lastModified } : { etag: '', lastModified: '' }
}

function pieceLengthFrom(length: number | undefined): number | undefined {
  if (length === undefined || length < MIN_PIECE_LENGTH || length > MAX_PIECE_LENGTH) return undefined
  return length
}

function timestamp(ms: number): Timestamp {
  return { seconds: Math.floor(ms / 1000), nanos: Math.floor(ms % 1000) * 1e6 }
}
