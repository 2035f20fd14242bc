import { type Handlers, ListHostsResponse, type schedulerService } from '#api'
import { Failure } from '#core'
import { type AnnouncePeerDeps, announcePeer } from './announce-peer.ts'
import { hostFacts, peerMessage, taskMessage } from './messages.ts'
import type { Host, Peer, Task } from './swarm/model.ts'
import type { Swarm } from './swarm/swarm.ts'

/** What each call does; the thought is elsewhere. */
export function schedulerHandlers(
  deps: AnnouncePeerDeps,
  limits: { peerUploadLimit: number; seedUploadLimit: number },
): Handlers<typeof schedulerService> {
  const { swarm, clock, log } = deps
  return {
    announcePeer: (requests, { signal }) => announcePeer(requests, deps, signal),
    announceHost({ host, interval }) {
      if (host === undefined) throw new Failure('usage.invalid', 'the announcement names no host')
      const facts = hostFacts(host, interval, limits)
      if (!swarm.hosts.has(host.id)) log.info({ host: host.id, seed: facts.seed }, 'a new host')
      swarm.announce(facts, clock.now())
      return {}
    },
    statPeer: (request) => peerMessage(findPeer(swarm, request)),
    deletePeer(request) {
      leave(swarm, findPeer(swarm, request), clock.now())
      return {}
    },
    statTask: ({ taskId }) => taskMessage(findTask(swarm, taskId)),
    // Only this host's part is over: the task lives as long as somebody has it.
    deleteTask({ hostId, taskId }) {
      const task = findTask(swarm, taskId)
      for (const peer of findHost(swarm, hostId).peers) if (peer.task === task) leave(swarm, peer, clock.now())
      return {}
    },
    listHosts({ type }) {
      const hosts = [...swarm.hosts.values()].map(({ facts }) => facts.message)
      return ListHostsResponse.fromPartial({ hosts: hosts.filter((host) => type === undefined || host.type === type) })
    },
    deleteHost({ hostId }) {
      swarm.removeHost(findHost(swarm, hostId), clock.now())
      log.info({ host: hostId }, 'a host has left')
      return {}
    },
  }
}

function leave(swarm: Swarm, peer: Peer, nowMs: number): void {
  swarm.move(peer, 'leave', nowMs)
  swarm.removePeer(peer)
}

function findHost(swarm: Swarm, hostId: string): Host {
  const host = swarm.hosts.get(hostId)
  if (host === undefined) throw new Failure('host.unknown', `host ${hostId} is not known here`)
  return host
}

function findTask(swarm: Swarm, taskId: string): Task {
  const task = swarm.tasks.get(taskId)
  if (task === undefined) throw new Failure('task.unknown', `task ${taskId} is not known here`)
  return task
}

function findPeer(swarm: Swarm, { taskId = '', peerId = '' }: { taskId?: string; peerId?: string }): Peer {
  const peer = findTask(swarm, taskId).peers.get(peerId)
  if (peer === undefined) throw new Failure('task.unknown', `peer ${peerId} is not known here`)
  return peer
}
