import type { ParentLimits } from './find-parents.ts'
import { crosses } from './swarm/editions.ts'
import type { Edition, Peer } from './swarm/model.ts'
import { isRoot, isRooted, leadsToRoot, type Searched } from './swarm/rooted.ts'

/** For whom parents are chosen. */
export interface Choice {
  readonly child: Peer
  readonly edition: Edition
  readonly limits: ParentLimits
}

/** Between two data centres only some peers fetch, from a few parents each: what comes across once is passed on inside. */
const CROSSINGS_OF_ONE = 2
const CROSSINGS_INTO_ONE = 4

/** How many new parents a child is named. The neighbourhood grows with every time it asks. */
export function wanted(child: Peer, { candidateParentLimit, neighbourLimit }: ParentLimits): number {
  const { size } = child.parents
  const atOnce = size === 0 ? candidateParentLimit : 2 * candidateParentLimit
  return Math.max(0, Math.min(atOnce, neighbourLimit - size))
}

/**
 * Whom a child is named of those that were ranked, best first, and of those it knows; nobody where none of them leads to
 * a root. `sample`: all that were ranked, should none of the best lead to one.
 */
export function choose(
  ranked: readonly Peer[],
  sample: readonly Peer[],
  { child, edition, limits }: Choice,
  how: 'spread' | 'as ranked' = 'spread',
): Peer[] {
  const want = wanted(child, limits)
  const able = oneByHost(ranked)
  const picks = how === 'spread' ? spread(able, child, edition, want) : able.slice(0, want)
  const searched: Searched = new Set()
  if (!isRooted(child, searched) && !picks.some((pick) => leadsToRoot(pick, searched))) {
    const leads = (peer: Peer): boolean => leadsToRoot(peer, searched)
    const way =
      wayOut(able, child, leads) ?? wayOut(sample, child, leads) ?? sample.find((peer) => edition.roots.has(peer))
    if (way === undefined) return []
    if (picks.length >= Math.max(want, 1)) picks.pop()
    if (!picks.includes(way)) picks.push(way)
  }
  const more = limits.candidateParentLimit - picks.length
  return more > 0 ? [...picks, ...knownOf(child, more)] : picks
}

/** The best one that leads to a root, of the own data centre if there is one. */
function wayOut(peers: readonly Peer[], child: Peer, leads: (peer: Peer) => boolean): Peer | undefined {
  return peers.find((peer) => !crosses(peer, child) && leads(peer)) ?? peers.find(leads)
}

/** One that holds or reads everything if the child knows none, few of other data centres, and the best of the others. */
function spread(ranked: readonly Peer[], child: Peer, edition: Edition, want: number): Peer[] {
  if (want === 0) return []
  const inside: Peer[] = []
  const outside: Peer[] = []
  for (const parent of ranked) (crosses(parent, child) ? outside : inside).push(parent)
  const across = mayCross(child, edition, inside, want)
  const known = child.parents.find(isRoot)
  const root = known ?? inside.find(isRoot) ?? (across > 0 ? outside.find(isRoot) : undefined)
  const picks = root === undefined || root === known ? [] : [root]
  const add = (peers: readonly Peer[], most: number): void =>
    void picks.push(...peers.filter((peer) => peer !== root).slice(0, Math.max(0, most)))
  add(outside, across - picks.filter((pick) => crosses(pick, child)).length)
  add(inside, want - picks.length)
  return picks.slice(0, want)
}

/** How many parents of other data centres the child may be given. */
function mayCross(child: Peer, edition: Edition, inside: readonly Peer[], want: number): number {
  const near = (parent: Peer): boolean => !crosses(parent, child)
  if (inside.length === 0 && child.parents.find(near) === undefined) return want
  if (inside.some(isRoot) || child.parents.find((parent) => near(parent) && isRoot(parent)) !== undefined) return 0
  const has = [...child.parents].filter((parent) => crosses(parent, child)).length
  return Math.min(CROSSINGS_OF_ONE - has, CROSSINGS_INTO_ONE - (edition.crossings.get(child.idc) ?? 0), want)
}

/** So many of those it knows, the most useful first. */
function knownOf(child: Peer, most: number): Peer[] {
  const roots: Peer[] = []
  const others: Peer[] = []
  for (const parent of child.parents) (isRoot(parent) ? roots : others).push(parent)
  return [...roots, ...others].slice(0, most)
}

/** Two peers of one host have the same pieces: the better one will do. */
function oneByHost(ranked: readonly Peer[]): Peer[] {
  const hosts = new Set<string>()
  return ranked.filter(({ host }) => !hosts.has(host.id) && hosts.add(host.id) !== undefined)
}
