import { type ByteRange, pieceLengthFor } from '#core'
import type { Description, Edition, Host, Peer, Task } from './model.ts'
import { SampleSet } from './sample-set.ts'
import { isLive, type PeerState } from './states.ts'

/** Different hosts that got wrong bytes from a host before nobody is sent there any more: one liar bans nobody. */
const REPORTS_TO_BAN = 2
const MAX_REPORTED = 1000

export function newEdition(description: Description): Edition {
  return {
    ...description,
    described: description,
    headers: {},
    signers: new Map(),
    peers: new Set(),
    reading: new Set(),
    offering: new SampleSet(),
    roots: new SampleSet(),
    crossings: new Map(),
    joinedAtMs: Number.NEGATIVE_INFINITY,
    validatedAtMs: { bySeed: Number.NEGATIVE_INFINITY, byAny: Number.NEGATIVE_INFINITY },
    seedsElsewhere: new Map(),
    toldAtMs: new Map(),
    corruptReports: new Map(),
  }
}

/**
 * Whether the description is of this edition. Who lies about a length spoils no edition, but makes one of its own: what
 * was unknown to those who described the edition is only learned from who read it.
 */
export function agrees(edition: Edition, description: Description): boolean {
  const { described } = edition
  const { version, contentLength, pieceLength } = description
  return (
    edition.version === version &&
    (contentLength === described.contentLength ||
      (contentLength !== undefined && contentLength === edition.contentLength)) &&
    (pieceLength === described.pieceLength || (pieceLength !== undefined && pieceLength === edition.pieceLength))
  )
}

/** What a host found that reads the origin for others. */
export function learn(edition: Edition, description: Description): void {
  edition.contentLength ??= description.contentLength
  edition.pieceLength ??= description.pieceLength
  edition.etag ||= description.etag
  edition.lastModified ||= description.lastModified
}

/** That long after a host was told of an edition, its own description of it is taken for an echo. */
const ECHO_MS = 60_000
const MAX_TOLD = 10_000

/** `host` learns of the edition from the scheduler. */
export function tell(edition: Edition, host: Host, nowMs: number): void {
  if (edition.toldAtMs.size >= MAX_TOLD) edition.toldAtMs.clear()
  edition.toldAtMs.set(host.id, nowMs)
}

/** `host` saw at the origin that this is what it has now. */
export function validate(edition: Edition, host: Host, nowMs: number): void {
  const toldAtMs = edition.toldAtMs.get(host.id)
  if (toldAtMs !== undefined && nowMs - toldAtMs < ECHO_MS) return
  edition.validatedAtMs.byAny = nowMs
  if (host.facts.seed) edition.validatedAtMs.bySeed = nowMs
}

/** The edition that was last seen at the origin; with `seedsOnly`, seen by a seed. */
export function latestEdition(task: Task, seedsOnly: boolean): Edition | undefined {
  let latest: Edition | undefined
  for (const edition of task.editions) {
    if (latest === undefined || seenAt(edition, seedsOnly) >= seenAt(latest, seedsOnly)) latest = edition
  }
  return latest
}

/**
 * Whether it is known to be what the origin has: seen there within `freshnessMs`, or being read right now. Where seeds
 * can be asked only theirs counts: a host that lies about the version must not be believed by those who cannot look.
 */
export function isFresh(edition: Edition, seedsOnly: boolean, nowMs: number, freshnessMs: number): boolean {
  if (nowMs - seenAt(edition, seedsOnly) < freshnessMs) return true
  for (const peer of edition.reading) {
    if (!peer.unproven && (peer.host.facts.seed || !seedsOnly)) return true
  }
  return false
}

function seenAt(edition: Edition, seedsOnly: boolean): number {
  return seedsOnly ? edition.validatedAtMs.bySeed : edition.validatedAtMs.byAny
}

/** Pieces of an edition have this length. */
export function pieceLengthOf(edition: Edition): number {
  return edition.pieceLength ?? pieceLengthFor(edition.contentLength)
}

/** Reads the origin now. */
export function isReading(peer: Peer): boolean {
  return peer.state === 'back-to-source'
}

/** Whether `parent` will have, in the end, every byte that `child` wants. */
export function covers(parent: ByteRange | undefined, child: ByteRange | undefined): boolean {
  if (parent === undefined) return true
  return child !== undefined && parent.start <= child.start && parent.end >= child.end
}

/**
 * Whether a peer can be asked for pieces, now or as soon as it has some: it waits for parents, fetches, reads the origin
 * or has everything. Never one whose pieces nobody can check.
 */
export function offers(peer: Peer): boolean {
  if (peer.edition === undefined || peer.unproven || peer.host.facts.disableShared) return false
  return peer.state === 'received-normal' || peer.state === 'running' || holdsOrReads(peer.state)
}

/** Has everything it wants, or is getting it from the origin itself. */
export function holdsOrReads(state: PeerState): boolean {
  return state === 'back-to-source' || state === 'succeeded'
}

/** Whether bytes would go from one data centre to another. Not where one of them is not known. */
export function crosses(parent: Peer, child: Peer): boolean {
  return parent.idc !== child.idc && parent.idc !== '' && child.idc !== ''
}

/** Counts that `reporter` got wrong bytes from `parent`. */
export function reportCorrupt(edition: Edition, parent: Peer, reporter: Peer): void {
  let reporters = edition.corruptReports.get(parent.host.id)
  if (reporters === undefined) {
    if (edition.corruptReports.size >= MAX_REPORTED) return
    reporters = new Set()
    edition.corruptReports.set(parent.host.id, reporters)
  }
  if (reporters.size < REPORTS_TO_BAN) reporters.add(reporter.host.id)
}

/** Banned for this edition. Different hosts have to say so; a report counts only about a parent one was given. */
export function isBanned(edition: Edition, hostId: string): boolean {
  return edition.corruptReports.size > 0 && (edition.corruptReports.get(hostId)?.size ?? 0) >= REPORTS_TO_BAN
}

/** An edition that nobody needs any more. */
export function isForgotten(edition: Edition): boolean {
  for (const peer of edition.peers) if (isLive(peer.state)) return false
  return true
}
