import { pieceCount } from '#core'
import { countWord } from './schedule.ts'
import { isBelieved, usableSeeds } from './seeds.ts'
import { learn, pieceLengthOf, reportCorrupt, validate } from './swarm/editions.ts'
import { complain } from './swarm/hosts.ts'
import type { Description, Edition, Peer } from './swarm/model.ts'
import { MAX_PIECE_NUMBER } from './swarm/piece-set.ts'
import type { Swarm } from './swarm/swarm.ts'

/** What a host that reads the origin found there. */
export interface FoundFacts extends Description {
  readonly headers: Readonly<Record<string, string>>
}

/** A piece came, from `parentId` or, without one, from the origin. */
export function pieceFinished(
  peer: Peer,
  piece: { number: number; costMs: number; parentId: string | undefined },
  nowMs: number,
): void {
  peer.touchedAtMs = nowMs
  peer.task.touchedAtMs = nowMs
  if (piece.number > lastPiece(peer.edition) || !peer.pieces.add(piece.number)) return
  peer.costs.add(piece.costMs)
  peer.progressAtMs = nowMs
  const parent = piece.parentId === undefined ? undefined : peer.task.peers.get(piece.parentId)
  if (parent === undefined || !peer.parents.has(parent)) return
  parent.touchedAtMs = nowMs
  parent.host.touchedAtMs = nowMs
  if (parent.host.complaints.size > 0) parent.host.complaints.clear()
}

/**
 * A parent did not give a piece, or gave wrong bytes: it is not named to this peer again. Only what is said of a
 * parent the peer was given counts against that parent with others, and never the word of one host alone.
 */
export function pieceFailed(
  peer: Peer,
  report: { parentId: string; temporary: boolean; corrupt: boolean },
  swarm: Swarm,
  nowMs: number,
): void {
  peer.touchedAtMs = nowMs
  const parent = peer.task.peers.get(report.parentId)
  const given = parent !== undefined && peer.parents.has(parent)
  if (report.temporary || report.corrupt) swarm.block(peer, report.parentId)
  if (!given) return
  if (report.temporary && !report.corrupt) complain(parent.host, peer.host)
  if (!report.corrupt || parent.edition === undefined) return
  swarm.blockHost(peer, parent.host)
  reportCorrupt(parent.edition, parent, peer)
}

/** It reads the origin; `facts` is what it found there. */
export function sourceStarted(peer: Peer, facts: FoundFacts | undefined, swarm: Swarm, nowMs: number): void {
  const sent = peer.state === 'back-to-source'
  const unknown = peer.edition === undefined
  if (!swarm.move(peer, 'read-source', nowMs)) return
  if (unknown && facts !== undefined) swarm.join(peer, swarm.edition(peer.task, facts))
  const { edition } = peer
  if (edition === undefined) return
  if (!sent || unknown) {
    const usable = usableSeeds(swarm.seeds, peer.task, edition, nowMs)
    countWord(peer, edition, isBelieved(peer.host, usable), swarm)
  }
  if (facts === undefined || facts.version !== edition.version) return
  validate(edition, peer.host, nowMs)
  if (!peer.unproven) {
    learn(edition, facts)
    if (Object.keys(edition.headers).length === 0) edition.headers = facts.headers
  }
  peer.task.bell.ring()
}

/** It has read the origin to its end, and knows the length now. */
export function sourceFinished(peer: Peer, contentLength: number | undefined, swarm: Swarm, nowMs: number): boolean {
  const reader = peer.state === 'back-to-source' && !peer.unproven && peer.range === undefined
  if (reader && peer.edition !== undefined) peer.edition.contentLength ??= contentLength
  return peerFinished(peer, swarm, nowMs)
}

export function peerFinished(peer: Peer, swarm: Swarm, nowMs: number): boolean {
  if (!swarm.move(peer, 'succeed', nowMs)) return false
  if (peer.range !== undefined) return true
  holdAll(peer)
  swarm.moveTask(peer.task, 'succeed')
  return true
}

export function sourceFailed(peer: Peer, swarm: Swarm, nowMs: number): boolean {
  const moved = swarm.move(peer, 'fail', nowMs)
  if (moved && peer.edition?.offering.size === 0) swarm.moveTask(peer.task, 'fail')
  return moved
}

function holdAll(peer: Peer): void {
  const { edition } = peer
  if (edition?.contentLength === undefined) return
  peer.pieces.addAll(pieceCount(edition.contentLength, pieceLengthOf(edition)))
}

function lastPiece(edition: Edition | undefined): number {
  if (edition?.contentLength === undefined) return MAX_PIECE_NUMBER
  return pieceCount(edition.contentLength, pieceLengthOf(edition)) - 1
}
