import type { PeerState, TaskState } from './swarm/states.ts'
import type { Swarm } from './swarm/swarm.ts'

/** A snapshot in numbers. */
export interface SchedulerStats {
  readonly hosts: number
  readonly seeds: number
  readonly tasks: Readonly<Record<TaskState, number>>
  readonly peers: Readonly<Record<PeerState, number>>
  /** Children that are given bytes, each counted once per parent. */
  readonly edges: number
  /** Children that wait for parents. */
  readonly waiting: number
  readonly seedRuns: number
}

export function statsOf(swarm: Swarm, seedRuns: number): SchedulerStats {
  const tasks = { pending: 0, running: 0, succeeded: 0, failed: 0, left: 0 }
  const peers = {
    pending: 0,
    'received-empty': 0,
    'received-normal': 0,
    running: 0,
    'back-to-source': 0,
    succeeded: 0,
    failed: 0,
    left: 0,
  }
  let edges = 0
  let waiting = 0
  for (const task of swarm.tasks.values()) {
    tasks[task.state]++
    waiting += task.bell.waiting
    for (const peer of task.peers.values()) {
      peers[peer.state]++
      edges += peer.parents.size
    }
  }
  return { hosts: swarm.hosts.size, seeds: swarm.seeds.size, tasks, peers, edges, waiting, seedRuns }
}
