import type { Host, Peer, Task } from './model.ts'
import type { Swarm } from './swarm.ts'

/** Milliseconds, all of them. */
export interface Ttls {
  readonly peerTtl: number
  readonly pieceTimeout: number
  readonly hostTtl: number
  readonly taskTtl: number
}

export interface Expired {
  readonly hosts: Host[]
  /** They are told to leave; at the next pass they are removed. */
  readonly leaving: Peer[]
  readonly removed: Peer[]
  readonly tasks: Task[]
}

/** A host that missed two announcements is gone. */
const MISSED_ANNOUNCEMENTS = 2
/** Finished peers above this number that nobody fetches from are not worth remembering. */
const CROWD = 300

/** What is over (wire.md §6.8). Pure: nothing is changed. */
export function expired(swarm: Swarm, ttls: Ttls, nowMs: number): Expired {
  const hosts = [...swarm.hosts.values()].filter((host) => isGone(host, nowMs))
  const found: Expired = { hosts, leaving: [], removed: [], tasks: [] }
  for (const task of swarm.tasks.values()) {
    let crowd = task.peers.size
    for (const peer of task.peers.values()) {
      const fate = fateOf(peer, ttls, crowd, nowMs)
      if (fate === 'removed') crowd--
      if (fate !== 'stays') found[fate].push(peer)
    }
    const idle = nowMs - task.touchedAtMs > ttls.taskTtl && task.seedRuns.size === 0
    if (task.peers.size === 0 && idle) found.tasks.push(task)
  }
  return found
}

/** Forgets what is over. */
export function sweep(swarm: Swarm, ttls: Ttls, nowMs: number): Expired {
  const found = expired(swarm, ttls, nowMs)
  for (const peer of found.removed) swarm.removePeer(peer)
  for (const peer of found.leaving) swarm.move(peer, 'leave', nowMs)
  for (const host of found.hosts) swarm.removeHost(host, nowMs)
  for (const task of found.tasks) swarm.removeTask(task)
  for (const task of swarm.tasks.values()) dropOldNotes(task, nowMs)
  return found
}

function isGone(host: Host, nowMs: number): boolean {
  return nowMs - host.announcedAtMs > MISSED_ANNOUNCEMENTS * host.facts.intervalMs
}

function fateOf(peer: Peer, ttls: Ttls, crowd: number, nowMs: number): 'stays' | 'leaving' | 'removed' {
  if (peer.state === 'left') return 'removed'
  if (peer.state === 'succeeded' && crowd > CROWD && peer.children.size + peer.parents.size === 0) return 'removed'
  const busy = peer.state === 'running' || peer.state === 'back-to-source'
  const over =
    peer.state === 'failed' ||
    peer.host.facts.disableShared ||
    (busy && nowMs - peer.progressAtMs > ttls.pieceTimeout) ||
    nowMs - peer.touchedAtMs > ttls.peerTtl ||
    nowMs - Math.max(peer.host.touchedAtMs, peer.host.announcedAtMs) > ttls.hostTtl
  return over ? 'leaving' : 'stays'
}

function dropOldNotes(task: Task, nowMs: number): void {
  for (const [id, { untilMs }] of task.failedSeeds) if (untilMs < nowMs) task.failedSeeds.delete(id)
  for (const edition of task.editions) {
    for (const [id, untilMs] of edition.seedsElsewhere) if (untilMs < nowMs) edition.seedsElsewhere.delete(id)
  }
}
