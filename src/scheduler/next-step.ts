import { Priority } from '#api'
import { Failure } from '#core'
import { findParents, type ParentLimits } from './find-parents.ts'
import { isBelieved, nextSeed, pendingRun, usableSeeds } from './seeds.ts'
import { covers, isBanned, isFresh, isReading, latestEdition } from './swarm/editions.ts'
import { isSuspect } from './swarm/hosts.ts'
import type { Edition, Host, Peer } from './swarm/model.ts'
import { isRooted, type Searched } from './swarm/rooted.ts'
import { isLive } from './swarm/states.ts'

/** What is to be done for a child that has no parents. */
export type Step =
  /** Tell it of this edition, and look again. */
  | { readonly kind: 'join'; readonly edition: Edition }
  /** Best first by the default score; `sample`: all that were ranked. */
  | { readonly kind: 'parents'; readonly parents: readonly Peer[]; readonly sample: readonly Peer[] }
  /** Send it to the origin. `believed`: others may take its pieces for true. */
  | { readonly kind: 'source'; readonly believed: boolean; readonly why: string }
  | { readonly kind: 'wake'; readonly seed: Host }
  /** Look again at the next news, and after the retry interval. */
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'refuse'; readonly failure: Failure }

export interface StepLimits extends ParentLimits {
  /** Milliseconds. */
  readonly retryInterval: number
  readonly retryLimit: number
  readonly retryBackToSourceLimit: number
  readonly backSourceCount: number
  /** Milliseconds. */
  readonly busyTimeout: number
  /** Milliseconds. */
  readonly freshness: number
}

export interface View {
  readonly nowMs: number
  /** How long the child has waited already. */
  readonly waitedMs: number
  readonly seeds: Iterable<Host>
  /** Another seed may be woken. */
  readonly mayWake: boolean
  readonly limits: StepLimits
  /** 0 ≤ x < 1 */
  readonly random: () => number
}

/** Even where nobody can reach who reads the origin, no more than this many read it for one edition (wire.md §6.4). */
const MOST_READERS = 200

/**
 * The next step for a child: parents if there are any; else a seed; else the origin, for as few as possible. While one
 * that others can fetch from reads the origin, nobody else is sent there.
 */
export function nextStep(child: Peer, view: View): Step {
  if (!isLive(child.state)) return refuse(new Failure('task.unknown', `peer ${child.id} was told to leave this task`))
  const { edition } = child
  if (edition === undefined) return stepToEdition(child, view)
  if (isReading(child)) return { kind: 'source', believed: !child.unproven, why: 'it reads the origin already' }
  const usable = usableSeeds(view.seeds, child.task, edition, view.nowMs)
  const believed = isBelieved(child.host, usable)
  const quota = hasQuota(child, edition, view.limits.backSourceCount)
  if (child.wantsSource && quota) return { kind: 'source', believed, why: 'the host asked for it' }

  const { sample, parents, busy } = findParents(child, edition, view.limits, view.random)
  if (parents.length > 0) return { kind: 'parents', parents, sample }
  if (busy) return stepWhenBusy(view)
  if (pendingRun(child.task, child.range) !== undefined) return { kind: 'wait', why: 'a seed is on its way' }
  const forbidden = firstForbidden(child)
  if (forbidden !== undefined) return refuse(forbidden)
  const seed = asksSeeds(child) && view.mayWake ? nextSeed(usable, child) : undefined
  if (seed !== undefined) return { kind: 'wake', seed }
  return stepToSource(child, edition, view, { believed, quota })
}

/** The child could not look at the origin: it gets an edition that somebody has just seen there. */
function stepToEdition(child: Peer, view: View): Step {
  const { task } = child
  const usable = usableSeeds(view.seeds, task, undefined, view.nowMs)
  const seedsOnly = usable.length > 0
  const latest = latestEdition(task, seedsOnly)
  if (latest !== undefined && isFresh(latest, seedsOnly, view.nowMs, view.limits.freshness))
    return { kind: 'join', edition: latest }
  if (!child.host.facts.seed) {
    if (pendingRun(task, child.range) !== undefined) return { kind: 'wait', why: 'a seed looks at the origin' }
    const seed = view.mayWake ? nextSeed(usable, child) : undefined
    if (seed !== undefined) return { kind: 'wake', seed }
  }
  return { kind: 'source', believed: isBelieved(child.host, usable), why: whyNoSeed(child) }
}

function stepWhenBusy({ waitedMs, limits }: View): Step {
  if (waitedMs < limits.busyTimeout) return { kind: 'wait', why: 'all parents have as many children as they may' }
  return refuse(new Failure('download.no_source', `no parent had room within ${limits.busyTimeout} ms`))
}

function stepToSource(
  child: Peer,
  edition: Edition,
  { waitedMs, limits }: View,
  { believed, quota }: { believed: boolean; quota: boolean },
): Step {
  const patience = waitedMs >= limits.retryInterval * limits.retryLimit
  if (child.sourceForbidden) {
    if (!patience) return { kind: 'wait', why: 'it may not read the origin' }
    return refuse(new Failure('download.no_source', `no peer has the task${seedFailures(child)}`))
  }
  if (quota) {
    if (waitedMs < limits.retryInterval && hasBetterReader(child, edition))
      return { kind: 'wait', why: 'another peer has more pieces' }
    return { kind: 'source', believed, why: whyNoSeed(child) }
  }
  // Somebody reads the origin, but this child had bad luck with them.
  if (waitedMs >= limits.retryInterval * limits.retryBackToSourceLimit && edition.reading.size < MOST_READERS)
    return { kind: 'source', believed, why: 'none of the peers that read the origin can be used' }
  if (patience) return refuse(new Failure('download.no_source', `too many peers read the origin of this task already`))
  return { kind: 'wait', why: 'others read the origin' }
}

function asksSeeds(child: Peer): boolean {
  return !child.host.facts.seed && !child.wantsSource && child.priority !== Priority.LEVEL3
}

/** Fewer than `most` peers read for this child what it wants, as far as anybody knows. */
function hasQuota(child: Peer, edition: Edition, most: number): boolean {
  let count = 0
  for (const peer of edition.reading) {
    if (peer.unproven || peer.host === child.host || !covers(peer.range, child.range)) continue
    if (!isSuspect(peer.host) && !isBanned(edition, peer.host.id) && !peer.host.facts.disableShared) count++
  }
  return count < most
}

/** Another peer that nothing reaches any more has more pieces in hand: it would read less of the origin than this child. */
function hasBetterReader(child: Peer, edition: Edition): boolean {
  const searched: Searched = new Set()
  for (const peer of edition.peers) {
    const may = peer.connected && peer.state === 'running' && !peer.sourceForbidden && peer !== child
    if (may && peer.pieces.size > child.pieces.size && covers(peer.range, child.range) && !isRooted(peer, searched))
      return true
  }
  return false
}

function whyNoSeed(child: Peer): string {
  return `no peer has the task${seedFailures(child)}`
}

function seedFailures({ task }: Peer): string {
  const told = [...task.failedSeeds].map(([id, { why }]) => `seed ${id}: ${why}`)
  return told.length === 0 ? '' : ` (${told.join('; ')})`
}

/** Peers of these priorities may not be the first to have a task (wire.md §6.5). */
function firstForbidden({ priority }: Peer): Failure | undefined {
  if (priority === Priority.LEVEL1) return new Failure('download.no_source', 'priority LEVEL1 forbids the download')
  if (priority !== Priority.LEVEL2) return undefined
  return new Failure('task.unknown', 'nobody has the task, and priority LEVEL2 may not be the first')
}

function refuse(failure: Failure): Step {
  return { kind: 'refuse', failure }
}
