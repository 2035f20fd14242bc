import { expect, test } from 'vitest'
import { checkSwarm } from '../testkit/invariants.ts'
import { TestSwarm } from '../testkit/swarm.ts'
import { sweep } from './expire.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const TTLS = { peerTtl: 24 * HOUR_MS, pieceTimeout: 30 * MINUTE_MS, hostTtl: HOUR_MS, taskTtl: 30 * MINUTE_MS }
const FOREVER = { intervalMs: 1000 * HOUR_MS }

function pass(net: TestSwarm, ms: number): ReturnType<typeof sweep> {
  net.nowMs += ms
  const found = sweep(net.swarm, TTLS, net.nowMs)
  checkSwarm(net.swarm)
  return found
}

test('a host that misses two announcements is forgotten with its peers, and one that announces stays', () => {
  const net = new TestSwarm()
  net.peer(net.host('quiet', { intervalMs: MINUTE_MS }), 'reading')
  net.host('loud', { intervalMs: MINUTE_MS })
  pass(net, 2 * MINUTE_MS)
  expect([...net.swarm.hosts.keys()]).toEqual(['quiet', 'loud'])
  net.host('loud', { intervalMs: MINUTE_MS })
  pass(net, 1)
  expect([...net.swarm.hosts.keys()]).toEqual(['loud'])
  expect(net.swarm.peerCount).toBe(0)
})

test('a failed peer leaves at the next pass and is forgotten at the one after it', () => {
  const net = new TestSwarm()
  const peer = net.peer(net.host('h', FOREVER), 'running')
  net.swarm.move(peer, 'fail', net.nowMs)
  pass(net, 1)
  expect(peer.state).toBe('left')
  pass(net, 1)
  expect(net.swarm.peerCount).toBe(0)
})

test('a download without a piece for half an hour is given up, one with pieces is not', () => {
  const net = new TestSwarm()
  const stuck = net.peer(net.host('stuck', FOREVER), 'reading')
  const busy = net.peer(net.host('busy', FOREVER), 'reading')
  net.nowMs += TTLS.pieceTimeout
  busy.progressAtMs = net.nowMs
  pass(net, 1)
  expect([stuck.state, busy.state]).toEqual(['left', 'back-to-source'])
})

test('a finished peer that nobody used for a day is forgotten, and its task half an hour later', () => {
  const net = new TestSwarm()
  const host = net.host('h', FOREVER)
  const peer = net.peer(host, 'succeeded')
  net.nowMs += TTLS.peerTtl
  host.touchedAtMs = net.nowMs
  pass(net, 0)
  expect(peer.state).toBe('succeeded')
  pass(net, 1)
  expect(peer.state).toBe('left')
  pass(net, 1)
  expect([net.swarm.peerCount, net.swarm.tasks.size]).toEqual([0, 1])
  pass(net, 1)
  expect(net.swarm.tasks.size).toBe(0)
})

test('peers of a host that neither speaks nor is used for an hour leave', () => {
  const net = new TestSwarm()
  const peer = net.peer(net.host('h', FOREVER), 'succeeded')
  pass(net, TTLS.hostTtl)
  expect(peer.state).toBe('succeeded')
  pass(net, 1)
  expect(peer.state).toBe('left')
})

test('in a crowd the finished peers that nobody fetches from are forgotten down to 300', () => {
  const net = new TestSwarm()
  const reader = net.peer(net.host('reader', FOREVER), 'reading')
  for (let index = 0; index < 320; index++) net.peer(net.host(`h${index}`, FOREVER), 'succeeded')
  net.peer(net.host('child', FOREVER), 'running', { parent: reader })
  pass(net, 1)
  expect(net.task.peers.size).toBe(300)
  expect([reader.state, net.task.peers.has('child-peer')]).toEqual(['back-to-source', true])
})

test('peers of a host that stops sharing leave', () => {
  const net = new TestSwarm()
  const peer = net.peer(net.host('h', FOREVER), 'succeeded')
  net.host('h', { ...FOREVER, disableShared: true })
  pass(net, 1)
  expect(peer.state).toBe('left')
})

test('a task that a seed is on its way to bring is not forgotten', () => {
  const net = new TestSwarm()
  net.task.seedRuns.add({ host: net.seed('s', FOREVER), range: undefined, wanted: undefined, peer: undefined })
  pass(net, 2 * TTLS.taskTtl)
  expect(net.swarm.tasks.size).toBe(1)
})
