import { createHash } from 'node:crypto'
import { Host as HostMessage, type Priority } from '#api'
import { versionOf } from '#core'
import type { Description, Host, HostFacts, Peer, Task } from '../swarm/model.ts'
import { type PeerWish, Swarm } from '../swarm/swarm.ts'

export const MiB = 2 ** 20
export const TASK_ID = 'a'.repeat(64)

export const DESCRIBED: Description = {
  version: versionOf({ etag: '"1"' }),
  etag: '"1"',
  lastModified: '',
  contentLength: 40 * MiB,
  pieceLength: 4 * MiB,
}

export const LIMITS = {
  candidateParentLimit: 3,
  neighbourLimit: 16,
  firstHandLimit: 16,
  filterParentLimit: 15,
  retryInterval: 500,
  retryLimit: 5,
  retryBackToSourceLimit: 4,
  backSourceCount: 1,
  busyTimeout: 60_000,
  freshness: 10_000,
  seedTimeout: 20_000,
  seedRetryAfter: 5000,
  maxSeedRuns: 1000,
}

export function keyOf(id: string): Uint8Array {
  return createHash('sha256').update(id).digest()
}

export function hostFacts(id: string, more: Partial<HostFacts> = {}): HostFacts {
  return {
    id,
    seed: false,
    ip: '127.0.0.1',
    port: 4000,
    disableShared: false,
    idc: '',
    location: '',
    maxTxBps: 0,
    publicKey: keyOf(id),
    intervalMs: 60_000,
    uploadLimit: 50,
    message: HostMessage.fromPartial({ id, hostname: id, ip: '127.0.0.1', port: 4000 }),
    ...more,
  }
}

/** A swarm with one task, and short words to fill it. */
export class TestSwarm {
  readonly swarm: Swarm
  readonly task: Task
  nowMs = 1_000_000

  constructor(bounds: Partial<ConstructorParameters<typeof Swarm>[0]> = {}) {
    this.swarm = new Swarm({ hosts: 1000, tasks: 1000, peers: 10_000, peersPerTask: 1000, ...bounds })
    this.task = this.openTask(TASK_ID)
  }

  openTask(id: string): Task {
    const wish = { id, url: 'http://origin/file', tag: '', application: '', filteredQueryParams: [] }
    return this.swarm.openTask(wish, this.nowMs)
  }

  host(id: string, more: Partial<HostFacts> = {}): Host {
    return this.swarm.announce(hostFacts(id, more), this.nowMs)
  }

  seed(id: string, more: Partial<HostFacts> = {}): Host {
    return this.host(id, { seed: true, uploadLimit: 300, ...more })
  }

  /** A peer of the edition that DESCRIBED tells of (or another), in a state. Its host is made if it is new. */
  peer(
    host: Host | string,
    state: 'waiting' | 'running' | 'reading' | 'succeeded' | 'pending',
    more: Partial<PeerWish> & { described?: Description | undefined; parent?: Peer } = {},
  ): Peer {
    const { described = DESCRIBED, parent, ...wish } = more
    const owner = typeof host === 'string' ? (this.swarm.hosts.get(host) ?? this.host(host)) : host
    const peer = this.swarm.openPeer(this.task, owner, { ...peerWish(`${owner.id}-peer`), ...wish }, this.nowMs)
    this.swarm.join(peer, this.swarm.edition(this.task, described))
    if (state === 'pending') return peer
    this.swarm.move(peer, 'register-normal', this.nowMs)
    if (parent !== undefined) this.swarm.link(parent, peer)
    if (state === 'running') this.swarm.move(peer, 'start', this.nowMs)
    if (state === 'reading') {
      if (owner.facts.publicKey !== undefined) peer.edition?.signers.set(owner.id, owner.facts.publicKey)
      this.swarm.move(peer, 'read-source', this.nowMs)
    }
    if (state === 'succeeded') this.swarm.move(peer, 'succeed', this.nowMs)
    return peer
  }
}

export function peerWish(id: string): PeerWish {
  return {
    id,
    range: undefined,
    priority: 6 satisfies Priority,
    concurrentPieces: 8,
    wantsSource: false,
    sourceForbidden: false,
  }
}
