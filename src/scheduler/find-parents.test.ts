import { expect, test } from 'vitest'
import { findParents } from './find-parents.ts'
import { pieceFailed } from './reports.ts'
import type { Peer } from './swarm/model.ts'
import { DESCRIBED, LIMITS, MiB, TestSwarm } from './testkit/swarm.ts'

const dice = (): number => 0

/** Whether the child is given the parent. */
function gets(child: Peer, parent: Peer): boolean {
  return namesFor(child).includes(parent.id)
}

function namesFor(child: Peer, limits = LIMITS): string[] {
  if (child.edition === undefined) return []
  return findParents(child, child.edition, limits, dice).parents.map(({ id }) => id)
}

test('whoever has something, or will have it in a moment, can be a parent; who has not registered yet cannot', () => {
  const net = new TestSwarm()
  const reader = net.peer('reader', 'reading')
  const done = net.peer('done', 'succeeded')
  const running = net.peer('running', 'running', { parent: reader })
  const orphan = net.peer('orphan', 'running')
  const waiting = net.peer('waiting', 'waiting')
  const pending = net.peer('pending', 'pending')
  const child = net.peer('child', 'waiting')
  const given = namesFor(child, { ...LIMITS, candidateParentLimit: 20 })
  expect(new Set(given)).toEqual(new Set([reader, done, running, orphan, waiting].map(({ id }) => id)))
  expect(given).not.toContain(pending.id)
})

test('those that only wait are named beside one that has something, and to nobody where there is none', () => {
  const net = new TestSwarm()
  const [waiting, running] = [net.peer('waiting', 'waiting'), net.peer('running', 'running')]
  const child = net.peer('child', 'waiting')
  expect(namesFor(child)).toEqual([])
  const reader = net.peer('reader', 'reading')
  expect(new Set(namesFor(child))).toEqual(new Set([reader, waiting, running].map(({ id }) => id)))
})

test.each(['failed', 'left'] as const)('a peer that has %s is no parent', (state) => {
  const net = new TestSwarm()
  const parent = net.peer('parent', 'reading')
  net.swarm.move(parent, state === 'failed' ? 'fail' : 'leave', net.nowMs)
  expect(gets(net.peer('child', 'waiting'), parent)).toBe(false)
})

test('a child is not given itself, its own host, who does not share, or who it had bad luck with', () => {
  const net = new TestSwarm()
  const good = net.peer('good', 'reading')
  const own = net.peer('child', 'succeeded', { id: 'child-before' })
  const closed = net.peer(net.host('closed', { disableShared: true }), 'succeeded')
  const blocked = net.peer('blocked', 'succeeded')
  const liar = net.peer('liar', 'succeeded')
  const child = net.peer('child', 'waiting')
  net.swarm.block(child, blocked.id)
  net.swarm.blockHost(child, liar.host)
  expect([good, own, closed, blocked, liar].filter((parent) => gets(child, parent))).toEqual([good])
})

test('a parent that had nothing for the child is named again once it reads the origin; one that failed it is not', () => {
  const net = new TestSwarm()
  net.peer('root', 'succeeded').edition?.signers.set('root', new Uint8Array(32))
  const [idle, failed] = [net.peer('idle', 'running'), net.peer('failed', 'running')]
  const child = net.peer('child', 'waiting')
  net.swarm.block(child, idle.id, net.nowMs)
  net.swarm.block(child, failed.id)
  expect([idle, failed].map((parent) => gets(child, parent))).toEqual([false, false])
  for (const peer of [idle, failed]) net.swarm.move(peer, 'read-source', net.nowMs + 1)
  expect([idle, failed].map((parent) => gets(child, parent))).toEqual([true, false])
})

test('a host that stops sharing is no parent any more', () => {
  const net = new TestSwarm()
  const parent = net.peer('parent', 'reading')
  const child = net.peer('child', 'waiting')
  expect(gets(child, parent)).toBe(true)
  net.host('parent', { disableShared: true })
  expect(gets(child, parent)).toBe(false)
})

test('peers of another edition are no parents', () => {
  const net = new TestSwarm()
  net.peer('old', 'reading', { described: { ...DESCRIBED, version: 'old' } })
  expect(namesFor(net.peer('child', 'waiting'))).toEqual([])
})

test('a peer that has only a range is a parent for what lies in it', () => {
  const net = new TestSwarm()
  const part = net.peer('part', 'reading', { range: { start: 4 * MiB, end: 12 * MiB - 1 } })
  const inside = net.peer('inside', 'waiting', { range: { start: 5 * MiB, end: 6 * MiB } })
  const beyond = net.peer('beyond', 'waiting', { range: { start: 5 * MiB, end: 13 * MiB } })
  const whole = net.peer('whole', 'waiting')
  expect([inside, beyond, whole].map((child) => gets(child, part))).toEqual([true, false, false])
  const all = net.peer('all', 'reading')
  expect([inside, beyond, whole].map((child) => gets(child, all))).toEqual([true, true, true])
})

test('a parent whose host has no room is left out, and the child is told that it is only that', () => {
  const net = new TestSwarm()
  const parent = net.peer(net.host('parent', { uploadLimit: 1 }), 'reading')
  const child = net.peer('child', 'waiting')
  net.peer(net.host('other', { disableShared: true }), 'waiting', { parent })
  expect(findParents(child, parent.edition ?? fail(), LIMITS, dice)).toMatchObject({ parents: [], busy: true })
})

test('who gets bytes from the child can be its parent: they have different pieces for one another', () => {
  const net = new TestSwarm()
  const reader = net.peer('reader', 'reading')
  const child = net.peer('child', 'running', { parent: reader })
  const below = net.peer('below', 'running', { parent: child })
  expect(gets(child, below)).toBe(true)
})

test('a slow parent is left out where there is a better one, and named where there is none', () => {
  const net = new TestSwarm()
  const slow = net.peer('slow', 'reading')
  for (const costMs of [100, 100, 9000]) slow.costs.add(costMs)
  const child = net.peer('child', 'waiting')
  expect(gets(child, slow)).toBe(true)
  const good = net.peer('good', 'succeeded')
  expect(namesFor(child)).toEqual([good.id])
})

test('a host that several others could not reach is left out where there is a better one', () => {
  const net = new TestSwarm()
  const dead = net.peer('dead', 'succeeded')
  net.peer('good', 'reading')
  for (const id of ['a', 'b', 'c']) {
    const reporter = net.peer(id, 'running', { parent: dead })
    pieceFailed(reporter, { parentId: dead.id, temporary: true, corrupt: false }, net.swarm, net.nowMs)
  }
  expect(gets(net.peer('child', 'waiting'), dead)).toBe(false)
})

test('one liar bans no parent for others; two hosts that got wrong bytes do', () => {
  const net = new TestSwarm()
  const parent = net.peer('parent', 'reading')
  const child = net.peer('child', 'waiting')
  const report = { parentId: parent.id, temporary: true, corrupt: true }
  const liar = net.host('liar')
  for (const id of ['l1', 'l2', 'l3']) {
    pieceFailed(net.peer(liar, 'running', { parent, id }), report, net.swarm, net.nowMs)
  }
  // Nor does the word of hosts that were never given the parent.
  for (const id of ['x', 'y']) pieceFailed(net.peer(id, 'running'), report, net.swarm, net.nowMs)
  expect(gets(child, parent)).toBe(true)
  pieceFailed(net.peer('honest', 'running', { parent }), report, net.swarm, net.nowMs)
  expect(gets(child, parent)).toBe(false)
})

test('a peer whose pieces nobody can check is no parent', () => {
  const net = new TestSwarm()
  const holder = net.peer('holder', 'succeeded')
  const child = net.peer('child', 'waiting')
  expect(gets(child, holder)).toBe(false)
  holder.edition?.signers.set('seed', new Uint8Array(32))
  expect(gets(child, holder)).toBe(true)
})

test('no more parents are named than the limit says, one of each host, from a random sample', () => {
  const net = new TestSwarm()
  const crowd = Array.from({ length: 40 }, (_, index) => net.peer(`h${index}`, 'reading'))
  net.peer('h0', 'succeeded', { id: 'h0-twin' })
  const child = net.peer('child', 'waiting')
  const { edition } = child
  if (edition === undefined) throw new Error('no edition')
  const seen = new Set<string>()
  for (let round = 0; round < 200; round++) {
    const { parents, sample } = findParents(child, edition, { ...LIMITS, filterParentLimit: 5 }, Math.random)
    expect(parents).toHaveLength(3)
    expect(new Set(parents.map(({ host }) => host)).size).toBe(3)
    expect(sample).toHaveLength(5)
    for (const { id } of parents) seen.add(id)
  }
  // 200 draws of 3 out of 41: who is never drawn is not drawn at random.
  expect(seen.size).toBeGreaterThan(crowd.length * 0.9)
})

function fail(): never {
  throw new Error('the peer has no edition')
}
