import type { MetricTable, Sample } from '#runtime'
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

export const schedulerMetrics = {
  dragonfly_scheduler_hosts: { kind: 'gauge', help: 'Hosts that are announced.', labels: [] },
  dragonfly_scheduler_seeds: { kind: 'gauge', help: 'Seeds among them.', labels: [] },
  dragonfly_scheduler_tasks: { kind: 'gauge', help: 'Tasks, by state.', labels: ['state'] },
  dragonfly_scheduler_peers: { kind: 'gauge', help: 'Peers, by state.', labels: ['state'] },
  dragonfly_scheduler_edges: { kind: 'gauge', help: 'Children that have parents, once per parent.', labels: [] },
  dragonfly_scheduler_waiting: { kind: 'gauge', help: 'Children that wait for parents.', labels: [] },
  dragonfly_scheduler_seed_runs: { kind: 'gauge', help: 'Seeds that are bringing a task right now.', labels: [] },
} as const satisfies MetricTable

export function schedulerSamples(stats: SchedulerStats): Sample[] {
  const plain = (name: keyof typeof schedulerMetrics, value: number): Sample => ({ name, labels: {}, value })
  const byState = (name: keyof typeof schedulerMetrics, counts: Readonly<Record<string, number>>): Sample[] =>
    Object.entries(counts).map(([state, value]) => ({ name, labels: { state }, value }))
  return [
    plain('dragonfly_scheduler_hosts', stats.hosts),
    plain('dragonfly_scheduler_seeds', stats.seeds),
    ...byState('dragonfly_scheduler_tasks', stats.tasks),
    ...byState('dragonfly_scheduler_peers', stats.peers),
    plain('dragonfly_scheduler_edges', stats.edges),
    plain('dragonfly_scheduler_waiting', stats.waiting),
    plain('dragonfly_scheduler_seed_runs', stats.seedRuns),
  ]
}
