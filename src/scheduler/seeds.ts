import { createHash } from 'node:crypto'
import type { ByteRange } from '#core'
import { covers, isBanned } from './swarm/editions.ts'
import { isSuspect } from './swarm/hosts.ts'
import type { Edition, Host, Peer, SeedRun, Task } from './swarm/model.ts'
import { isLive, isOver } from './swarm/states.ts'

/** Seeds that may be expected to bring the task (in this edition, if one is named): alive, and not failed of late. */
export function usableSeeds(seeds: Iterable<Host>, task: Task, edition: Edition | undefined, nowMs: number): Host[] {
  return [...seeds].filter((seed) => {
    if (seed.downUntilMs > nowMs || isSuspect(seed) || seed.facts.disableShared) return false
    if ((task.failedSeeds.get(seed.id)?.untilMs ?? 0) > nowMs) return false
    if (edition === undefined) return true
    return (edition.seedsElsewhere.get(seed.id) ?? 0) <= nowMs && !isBanned(edition, seed.id)
  })
}

/**
 * The seed to wake for a child: the first, in the order of the task's own, that takes no part yet and that the child
 * has not had bad luck with. Every scheduler picks the same one for a task.
 */
export function nextSeed(usable: readonly Host[], child: Peer): Host | undefined {
  const able = usable.filter(
    (seed) => seed !== child.host && !child.blockedHosts?.has(seed.id) && !takesPart(seed, child),
  )
  if (able.length < 2) return able[0]
  const weights = new Map(able.map((seed) => [seed, weigh(child.task.id, seed.id)]))
  return able.reduce((best, seed) => ((weights.get(seed) ?? '') > (weights.get(best) ?? '') ? seed : best))
}

function takesPart(seed: Host, child: Peer): boolean {
  const { edition } = child
  if (edition === undefined) return false
  for (const peer of seed.peers) {
    if (peer.edition === edition && isLive(peer.state) && covers(peer.range, child.range)) return true
  }
  return false
}

/** A seed is on its way with what the child wants, and is yet to say what it found. */
export function pendingRun(task: Task, range: ByteRange | undefined): SeedRun | undefined {
  for (const run of task.seedRuns) {
    if (!covers(run.range, range)) continue
    if (run.peer === undefined || (run.peer.edition === undefined && !isOver(run.peer.state))) return run
  }
  return undefined
}

/**
 * Whether the word of a host that reads the origin counts for others: a seed's does, another's only where no seed can
 * be asked. So a host cannot make itself believed by asking first.
 */
export function isBelieved(host: Host, usable: readonly Host[]): boolean {
  return host.facts.seed || usable.length === 0
}

function weigh(taskId: string, hostId: string): string {
  return createHash('sha256').update(`${taskId} ${hostId}`).digest('hex')
}
