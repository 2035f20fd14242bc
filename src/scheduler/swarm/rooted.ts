import { isBanned } from './editions.ts'
import { isSuspect } from './hosts.ts'
import type { Peer } from './model.ts'

/** Ways to a root are short; what is longer than this is looked for anew. */
const MOST_HOPS = 64
/** So many peers are looked at, at most, for a way to a root. Where it is that far, peers are told to wait for a nearer one. */
const MOST_SEARCHED = 1000

/** Peers that were found to have no way to a root, for as long as nothing changes: none of them is searched twice. */
export type Searched = Set<Peer>

/**
 * Whether it gives others everything it was asked for whatever becomes of its parents: it holds it, or reads it at the
 * origin. Not one that several hosts could not reach, or that gave several hosts wrong bytes.
 */
export function isRoot(peer: Peer): boolean {
  const { edition, host } = peer
  if (peer.rootAtMs === undefined || edition === undefined) return false
  return edition.roots.has(peer) && !isSuspect(host) && !isBanned(edition, host.id)
}

/**
 * Whether what a root has reaches the peer, over whoever its parents get from. Peers may get from one another, but those
 * that have only each other, and lack the same pieces, would wait for ever: one of them has to be given a root.
 *
 * Each peer remembers the parent over which the way leads (`via`), so that this costs a few steps in a swarm of any size;
 * only where a way broke another one is searched. A way is only made of ways that were whole, so it is never a circle.
 */
export function isRooted(peer: Peer, searched: Searched = new Set()): boolean {
  if (peer.edition === undefined || peer.edition.roots.size === 0) return false
  return hasWay(peer) || findWay(peer, searched)
}

/** It is a root, or gets what one has. */
export function leadsToRoot(peer: Peer, searched?: Searched): boolean {
  return isRoot(peer) || isRooted(peer, searched)
}

function hasWay(peer: Peer): boolean {
  let at: Peer | undefined = peer.via
  for (let hops = 0; at !== undefined && hops < MOST_HOPS; hops++) {
    if (isRoot(at)) return true
    at = at.via
  }
  return false
}

/** Searches from parent to parent, the nearest first, and remembers the way. */
function findWay(peer: Peer, searched: Searched): boolean {
  if (searched.has(peer) || peer.parents.size === 0) return false
  const childOf = new Map<Peer, Peer | undefined>([[peer, undefined]])
  for (const [at] of childOf) {
    if (searched.size >= MOST_SEARCHED) return false
    searched.add(at)
    for (const parent of at.parents) {
      if (childOf.has(parent) || searched.has(parent)) continue
      childOf.set(parent, at)
      if (isRoot(parent) || hasWay(parent)) {
        remember(parent, childOf)
        for (const found of childOf.keys()) searched.delete(found)
        return true
      }
    }
  }
  return false
}

function remember(end: Peer, childOf: ReadonlyMap<Peer, Peer | undefined>): void {
  let parent = end
  for (let child = childOf.get(parent); child !== undefined; child = childOf.get(parent)) {
    child.via = parent
    parent = child
  }
}
