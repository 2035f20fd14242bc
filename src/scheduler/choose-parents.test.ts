import { expect, test } from 'vitest'
import { findParents } from './find-parents.ts'
import type { Peer } from './swarm/model.ts'
import { LIMITS, TestSwarm } from './testkit/swarm.ts'

const limits = { ...LIMITS, candidateParentLimit: 4 }

/** Asks once, and takes what it is given. */
function ask(net: TestSwarm, child: Peer, more: Partial<typeof limits> = {}): Peer[] {
  if (child.edition === undefined) throw new Error('the peer has no edition')
  const { parents } = findParents(child, child.edition, { ...limits, ...more }, Math.random)
  for (const parent of parents) net.swarm.link(parent, child)
  return parents
}

function crowd(net: TestSwarm, size: number, idc = (_index: number): string => ''): Peer[] {
  return Array.from({ length: size }, (_, index) => net.peer(net.host(`h${index}`, { idc: idc(index) }), 'running'))
}

function across(child: Peer): number {
  return [...child.parents].filter(({ idc }) => idc !== child.idc).length
}

test('a child that asks again is named others each time, up to so many, and each time twice as many as at first', () => {
  const net = new TestSwarm()
  net.peer(net.seed('seed'), 'reading')
  crowd(net, 40)
  const child = net.peer('child', 'waiting')
  const sizes = [1, 2, 3, 4].map(() => {
    ask(net, child)
    return child.parents.size
  })
  expect(sizes).toEqual([4, 12, 16, 16])
})

test('in a small swarm everybody knows everybody after the second time', () => {
  const net = new TestSwarm()
  net.peer(net.seed('seed'), 'reading')
  const peers = crowd(net, 8)
  for (let round = 0; round < 2; round++) for (const child of peers) ask(net, child)
  expect(peers.map(({ parents }) => parents.size)).toEqual(peers.map(() => 8))
})

test('who knows everybody is told of those it knows, those that have everything first', () => {
  const net = new TestSwarm()
  const seed = net.peer(net.seed('seed'), 'reading')
  const [child = seed, ...others] = crowd(net, 4)
  for (const other of others) net.swarm.link(other, child)
  ask(net, child)
  expect(new Set(child.parents)).toEqual(new Set([seed, ...others]))
  const again = ask(net, child)
  expect(again).toHaveLength(4)
  expect(again[0]).toBe(seed)
})

test('one that holds or reads everything is among the first, as long as it has room', () => {
  const net = new TestSwarm()
  const seed = net.peer(net.seed('seed', { uploadLimit: 5 }), 'reading')
  crowd(net, 100)
  const children = Array.from({ length: 10 }, (_, index) => net.peer(`child${index}`, 'waiting'))
  for (const child of children) ask(net, child)
  expect(children.map((child) => child.parents.has(seed))).toEqual(children.map((_, index) => index < 5))
})

test('of who has everything no more children than the limit says, as long as others lead to it', () => {
  const net = new TestSwarm()
  const seed = net.peer(net.seed('seed'), 'reading')
  const peers = crowd(net, 40)
  for (const child of peers) ask(net, child, { firstHandLimit: 5 })
  expect(seed.children.size).toBe(5)
})

test('and more of them where nobody else leads to it', () => {
  const net = new TestSwarm()
  const seed = net.peer(net.seed('seed'), 'reading')
  const selfish = Array.from({ length: 10 }, (_, index) =>
    net.peer(net.host(`h${index}`, { disableShared: true }), 'waiting'),
  )
  for (const child of selfish) ask(net, child, { firstHandLimit: 5 })
  expect(seed.children.size).toBe(10)
})

test('uploads are spread: nobody has many more children than the others', () => {
  const net = new TestSwarm()
  net.peer(net.seed('seed'), 'reading')
  const peers = crowd(net, 100)
  for (let round = 0; round < 3; round++) for (const child of peers) ask(net, child)
  const counts = peers.map(({ children }) => children.size)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1300)
  expect(Math.max(...counts)).toBeLessThan(30)
  expect(Math.min(...counts)).toBeGreaterThan(5)
})

test('between two data centres a few fetch, from a few each; all others fetch inside', () => {
  const net = new TestSwarm()
  net.peer(net.seed('seed', { idc: 'east' }), 'reading')
  const peers = crowd(net, 100, (index) => (index % 2 === 0 ? 'east' : 'West'))
  for (let round = 0; round < 3; round++) for (const child of peers) ask(net, child)
  const crossing = peers.filter((child) => across(child) > 0)
  expect(Math.max(...crossing.map(across))).toBeLessThanOrEqual(2)
  for (const idc of ['east', 'west']) {
    const edges = crossing.filter((child) => child.idc === idc).reduce((sum, child) => sum + across(child), 0)
    expect(edges).toBeLessThanOrEqual(4)
  }
  // Something has to get from the seed in the east to the west.
  expect(crossing.filter(({ idc }) => idc === 'west').length).toBeGreaterThan(1)
  expect(peers.map(({ parents }) => parents.size)).toEqual(peers.map(() => 16))
})

test('nothing crosses to a data centre in which somebody has everything', () => {
  const net = new TestSwarm()
  net.peer(net.seed('seed', { idc: 'east' }), 'reading')
  net.peer(net.host('done', { idc: 'west' }), 'succeeded')
  const peers = crowd(net, 20, (index) => (index % 2 === 0 ? 'east' : 'west'))
  const [, child = peers[0] as Peer] = peers
  for (let round = 0; round < 3; round++) ask(net, child)
  expect([child.parents.size, across(child)]).toEqual([10, 0])
})

test('who is alone in a data centre is named those of the others', () => {
  const net = new TestSwarm()
  const seed = net.peer(net.seed('seed', { idc: 'east' }), 'reading')
  crowd(net, 20, () => 'east')
  const alone = net.peer(net.host('alone', { idc: 'west' }), 'waiting')
  const named = ask(net, alone)
  expect(named).toHaveLength(4)
  expect(named[0]).toBe(seed)
})

test('who would get nothing from those inside is named one outside that leads to the file, whatever the limits', () => {
  const net = new TestSwarm()
  net.peer(net.seed('seed', { idc: 'east', uploadLimit: 0 }), 'reading')
  const east = crowd(net, 3, () => 'east')
  const [leads] = east
  const seed = [...net.task.peers.values()][0]
  if (leads === undefined || seed === undefined) throw new Error('no peers')
  net.swarm.link(seed, leads)
  for (let index = 0; index < 4; index++) {
    net.swarm.link(leads, net.peer(net.host(`full${index}`, { idc: 'west', disableShared: true }), 'running'))
  }
  const child = net.peer(net.host('child', { idc: 'west' }), 'waiting')
  net.peer(net.host('idle', { idc: 'west' }), 'waiting')
  expect(ask(net, child)).toContain(leads)
})
