import { type Choice, choose, wanted } from './choose-parents.ts'
import { hasProof, isSlow, rankParents } from './rank-parents.ts'
import { covers, crosses, isBanned } from './swarm/editions.ts'
import { hasRoom, isSuspect } from './swarm/hosts.ts'
import type { Edition, Host, Peer } from './swarm/model.ts'
import { isRoot, isRooted, leadsToRoot, type Searched } from './swarm/rooted.ts'

export interface ParentLimits {
  /** Parents named to a child that has none; one that has some is named up to twice as many. */
  readonly candidateParentLimit: number
  /** Parents ranked for it: a random sample of all that would do. */
  readonly filterParentLimit: number
  /** Parents that a child has altogether. */
  readonly neighbourLimit: number
  /** Children of a root, as long as others lead to one: what it gives away once goes further the sooner it is whole. */
  readonly firstHandLimit: number
}

export interface FoundParents {
  /** Those that were ranked, in no order; none of them is known to the child. */
  readonly sample: readonly Peer[]
  /** Best first; those that the child knows already come last, and only where there are few others. */
  readonly parents: Peer[]
  /** There are others that would do, had their hosts room. */
  readonly busy: boolean
}

/** So many are looked at, at most, for one child: who is not found among them is found at the next look. */
const MOST_LOOKS = 512
/** And no more than so many times the sample, where it is not a matter of getting anything at all. */
const LOOKS_FOR_ONE = 4
/** Of those of other data centres no more are ranked, as long as there are others. */
const SHARE_ACROSS = 1 / 3
/** So many of those that hold or read everything are put into a sample before anybody else. */
const ROOTS_IN_SAMPLE = 4

/**
 * Who can give to a child, now or in a moment. The sample is taken among those that will do (upstream samples all peers,
 * and finds nobody where most of them wait). A slow or suspect parent is named only where there is no better one: it is
 * still better than the origin. Nobody is found where nobody leads to a root: see `isRooted`.
 */
export function findParents(child: Peer, edition: Edition, limits: ParentLimits, random: () => number): FoundParents {
  if (edition.roots.size === 0) return { sample: [], parents: [], busy: false }
  const search = new Search(child, edition, limits, random)
  const { sample, busy } = search
  return { sample, parents: choose(rankParents(sample, child), sample, { child, edition, limits }), busy }
}

/** As many of a ranking as are named to a child. The ranking decides, but for the rule that one of them leads to a root. */
export function cut(ranked: readonly Peer[], sample: readonly Peer[], choice: Choice): Peer[] {
  return choose(ranked, sample, choice, 'as ranked')
}

/** Whether a parent that could give to the child a while ago can still. */
export function canStill(parent: Peer, child: Peer, edition: Edition): boolean {
  return edition.offering.has(parent) && isAcceptable(parent, child, edition) && hasRoom(parent.host)
}

/** The child may be given this parent, if there is room. */
export function isAcceptable(parent: Peer, child: Peer, edition: Edition): boolean {
  return (
    parent.host !== child.host &&
    !isBlocked(parent, child) &&
    covers(parent.range, child.range) &&
    hasProof(parent, edition) &&
    !isBanned(edition, parent.host.id)
  )
}

/**
 * The child has had bad luck with this parent. One that only had nothing for it is taken back once it reads the origin
 * or has everything.
 */
export function isBlocked(parent: Peer, child: Peer): boolean {
  if (child.blockedHosts?.has(parent.host.id)) return true
  const sinceMs = child.blockedPeers?.get(parent.id)
  return sinceMs !== undefined && (parent.rootAtMs === undefined || parent.rootAtMs <= sinceMs)
}

/** A sample of the parents that a child could be named beside those it knows. */
class Search {
  readonly sample: Peer[]
  busy = false
  readonly #child: Peer
  readonly #edition: Edition
  /** Whoever was looked at already; and two peers of one host have the same pieces. */
  readonly #seen: Set<Peer | Host>
  /** The child knows somebody near who leads to a root, or one is in the sample. */
  #rooted: boolean
  readonly #good: Peer[] = []
  readonly #weak: Peer[] = []
  /** Good ones of other data centres, beyond those in the sample. */
  readonly #far: Peer[] = []
  /** Roots that have enough children. */
  readonly #spare: Peer[] = []
  readonly #limits: ParentLimits
  readonly #searched: Searched = new Set()
  #across = 0

  constructor(child: Peer, edition: Edition, limits: ParentLimits, random: () => number) {
    this.#child = child
    this.#edition = edition
    this.#limits = limits
    this.#rooted = isRooted(child, this.#searched)
    this.#seen = new Set()
    for (const { host } of child.parents) this.#seen.add(host)
    const most = limits.filterParentLimit
    if (wanted(child, limits) > 0 || !this.#rooted) this.#look(random)
    this.#good.push(...this.#far.slice(0, Math.max(0, most - this.#good.length)))
    this.sample = this.#rooted && this.#good.length > 0 ? this.#good : this.#lastHopes(most)
  }

  /** The weak ones as well, and first of all those from which something could come. */
  #lastHopes(most: number): Peer[] {
    const ways = [...this.#weak, ...this.#far, ...this.#spare].filter(
      (peer) => leadsToRoot(peer, this.#searched) || this.#edition.roots.has(peer),
    )
    return [...new Set([...ways, ...this.#good, ...this.#weak])].slice(0, most)
  }

  #look(random: () => number): void {
    const { offering, roots } = this.#edition
    const most = this.#limits.filterParentLimit
    if (this.#child.parents.find(isRoot) === undefined) {
      for (const root of first(roots.shuffled(random), Math.min(ROOTS_IN_SAMPLE, most))) this.#consider(root, true)
    }
    let looks = 0
    for (const parent of first(offering.shuffled(random), MOST_LOOKS)) {
      const enough = this.#good.length >= most
      if (this.#rooted && (enough || ++looks > LOOKS_FOR_ONE * most)) return
      const leads = !this.#rooted && leadsToRoot(parent, this.#searched)
      if (enough && leads && !crosses(parent, this.#child)) this.#good.pop() // it takes the place, should it do
      if (this.#good.length < most) this.#consider(parent, leads)
    }
  }

  #consider(parent: Peer, leads: boolean): void {
    const far = crosses(parent, this.#child)
    if (far && !leads && this.#far.length >= this.#limits.filterParentLimit) return
    if (this.#seen.has(parent) || this.#seen.has(parent.host)) return
    this.#seen.add(parent)
    if (!isAcceptable(parent, this.#child, this.#edition)) return
    if (!hasRoom(parent.host)) this.busy ||= leads
    else if (isSlow(parent) || isSuspect(parent.host)) this.#weak.push(parent)
    else if (parent.children.size >= this.#limits.firstHandLimit && isRoot(parent)) this.#spare.push(parent)
    else if (!far) {
      this.#good.push(parent)
      this.#rooted ||= leads
    } else if (this.#across < this.#limits.filterParentLimit * SHARE_ACROSS) {
      this.#across++
      this.#good.push(parent)
    } else this.#far.push(parent)
  }
}

function* first<T>(items: Iterable<T>, count: number): Generator<T, void, undefined> {
  let left = count
  for (const item of items) {
    if (left-- <= 0) return
    yield item
  }
}
