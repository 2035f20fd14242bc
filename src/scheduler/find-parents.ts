import { hasProof, isSlow, rankParents } from './rank-parents.ts'
import { covers, isBanned } from './swarm/editions.ts'
import { hasRoom, isSuspect } from './swarm/hosts.ts'
import type { Edition, Peer } from './swarm/model.ts'
import { descendants } from './swarm/swarm.ts'

export interface ParentLimits {
  /** Parents named to a child. */
  readonly candidateParentLimit: number
  /** Parents ranked for it: a random sample of all that would do. */
  readonly filterParentLimit: number
}

export interface FoundParents {
  /** Those that were ranked, in no order. */
  readonly sample: readonly Peer[]
  /** Best first, cut to the limit. */
  readonly parents: Peer[]
  /** There are others that would do, had their hosts room. */
  readonly busy: boolean
}

/**
 * Who can give to a child now. The sample is taken among those that will do (upstream samples all peers, and finds
 * nobody where most of them wait). A slow or suspect parent is named only where there is no better one: it is still
 * better than the origin.
 */
export function findParents(child: Peer, edition: Edition, limits: ParentLimits, random: () => number): FoundParents {
  const below = descendants(child)
  const good: Peer[] = []
  const weak: Peer[] = []
  let busy = false
  for (const parent of edition.offering.shuffled(random)) {
    if (!isAcceptable(parent, child, edition) || below.has(parent)) continue
    if (!hasRoom(parent.host)) {
      busy = true
      continue
    }
    if (isSlow(parent) || isSuspect(parent.host)) weak.push(parent)
    else good.push(parent)
    if (good.length >= limits.filterParentLimit) break
  }
  const sample = (good.length > 0 ? good : weak).slice(0, limits.filterParentLimit)
  return { sample, parents: cut(rankParents(sample, child), limits), busy }
}

/** As many of a ranking as are named to a child. */
export function cut(ranked: readonly Peer[], limits: ParentLimits): Peer[] {
  return oneByHost(ranked).slice(0, limits.candidateParentLimit)
}

/** Whether a parent that could give to the child a while ago can still. */
export function canStill(parent: Peer, child: Peer, edition: Edition): boolean {
  return (
    edition.offering.has(parent) &&
    isAcceptable(parent, child, edition) &&
    hasRoom(parent.host) &&
    !descendants(child).has(parent)
  )
}

/** The child may be given this parent, if there is room and no cycle. */
export function isAcceptable(parent: Peer, child: Peer, edition: Edition): boolean {
  return (
    parent.host !== child.host &&
    !isBlocked(parent, child) &&
    covers(parent.range, child.range) &&
    hasProof(parent, edition) &&
    !isBanned(edition, parent.host.id)
  )
}

/** The child has had bad luck with this parent. */
export function isBlocked(parent: Peer, child: Peer): boolean {
  return child.blockedPeers.has(parent.id) || child.blockedHosts.has(parent.host.id)
}

/** Two peers of one host have the same pieces: the better one will do. */
function oneByHost(ranked: readonly Peer[]): Peer[] {
  const hosts = new Set<string>()
  return ranked.filter(({ host }) => !hosts.has(host.id) && hosts.add(host.id) !== undefined)
}
