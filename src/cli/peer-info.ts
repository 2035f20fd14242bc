import { pieceCount } from '#core'
import type { HostInfo, PeerInfo, Ranking } from '#plugin'
import type { Host, Peer } from '#scheduler'

/** Hosts may announce texts of any length; an evaluator is asked about dozens of them at once. */
const LONGEST_TEXT_CHARS = 255

/** What an evaluator is told of a ranking: plain data of this moment, and no more than a ranking is made from. */
export function rankingOf(parents: readonly Peer[], child: Peer): Ranking {
  const { id, tag, application } = child.task
  const { contentLength, pieceLength } = child.edition ?? {}
  return {
    parents: parents.map(peerInfo),
    child: peerInfo(child),
    task: {
      id,
      tag: cut(tag),
      application: cut(application),
      ...(contentLength === undefined ? {} : { contentLength }),
      ...(pieceLength === undefined ? {} : { pieceLength }),
      ...(contentLength === undefined || pieceLength === undefined
        ? {}
        : { pieces: pieceCount(contentLength, pieceLength) }),
    },
  }
}

function peerInfo(peer: Peer): PeerInfo {
  const { id, host, state, pieces, costs, parents, children, priority, range } = peer
  const { meanMs, lastMs } = costs
  return {
    id,
    host: hostInfo(host),
    state,
    finishedPieces: pieces.size,
    ...(meanMs === undefined || lastMs === undefined ? {} : { pieceMs: { mean: meanMs, last: lastMs } }),
    slow: costs.slow,
    parents: parents.size,
    children: children.size,
    priority,
    ...(range === undefined ? {} : { range }),
  }
}

function hostInfo({ facts, uploads, complaints }: Host): HostInfo {
  return {
    id: facts.id,
    hostname: cut(facts.message.hostname),
    ip: cut(facts.ip),
    os: cut(facts.message.os),
    idc: cut(facts.idc),
    location: cut(facts.location),
    seed: facts.seed,
    uploadLimit: facts.uploadLimit,
    uploads: uploads.children,
    uploadPieces: uploads.pieces,
    uploadBytes: uploads.bytes,
    owedBytes: uploads.owedBytes,
    maxTxBps: facts.maxTxBps,
    complaints: complaints.size,
  }
}

function cut(text: string): string {
  return text.slice(0, LONGEST_TEXT_CHARS)
}
