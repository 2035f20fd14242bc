import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pieceFailed } from '../reports.ts'
import { checkSwarm } from '../testkit/invariants.ts'
import { TestSwarm } from '../testkit/swarm.ts'
import type { Peer } from './model.ts'
import { isRoot, isRooted, leadsToRoot } from './rooted.ts'

test.each([
  ['reading', true],
  ['succeeded', true],
  ['running', false],
  ['waiting', false],
] as const)('a peer that is %s is a root: %s', (state, root) => {
  expect(isRoot(new TestSwarm().peer('h', state))).toBe(root)
})

test('a root that no child may have more of is still one; one that nobody may have anything of is none', () => {
  const net = new TestSwarm()
  const full = net.peer(net.host('full', { uploadLimit: 1 }), 'reading')
  net.peer('child', 'running', { parent: full })
  const closed = net.peer(net.host('closed', { disableShared: true }), 'succeeded')
  const unproven = net.peer('unproven', 'reading')
  net.swarm.setUnproven(unproven, true)
  expect([full, closed, unproven].map(isRoot)).toEqual([true, false, false])
})

test('a root that three hosts could not reach is none, until somebody can', () => {
  const net = new TestSwarm()
  const dead = net.peer('dead', 'succeeded')
  const child = net.peer('child', 'running', { parent: dead })
  for (const id of ['a', 'b', 'c']) {
    expect(isRooted(child)).toBe(true)
    const report = { parentId: dead.id, temporary: true, corrupt: false }
    pieceFailed(net.peer(id, 'running', { parent: dead }), report, net.swarm, net.nowMs)
  }
  expect(isRooted(child)).toBe(false)
  dead.host.complaints.clear()
  expect(isRooted(child)).toBe(true)
})

test('bytes of a root reach whoever gets from one they reach, in a circle too', () => {
  const net = new TestSwarm()
  const root = net.peer('root', 'reading')
  const [a, b, c] = circle(net, 3)
  expect([a, b, c].map((peer) => isRooted(peer))).toEqual([false, false, false])
  net.swarm.link(root, b)
  expect([a, b, c].map((peer) => isRooted(peer))).toEqual([true, true, true])
  net.swarm.move(root, 'fail', net.nowMs)
  expect([a, b, c].map((peer) => isRooted(peer))).toEqual([false, false, false])
  checkSwarm(net.swarm)
})

test('where one way breaks another one is found', () => {
  const net = new TestSwarm()
  const [first, second] = [net.peer('first', 'reading'), net.peer('second', 'succeeded')]
  const [a, b, c, d] = circle(net, 4)
  net.swarm.link(first, a)
  net.swarm.link(second, c)
  expect([a, b, c, d].map((peer) => isRooted(peer))).toEqual([true, true, true, true])
  net.swarm.unlink(first, a)
  expect([a, b, c, d].map((peer) => isRooted(peer))).toEqual([true, true, true, true])
  net.swarm.unlink(second, c)
  expect([a, b, c, d].map((peer) => isRooted(peer))).toEqual([false, false, false, false])
})

test('a way that is longer than anybody would make it is found too', () => {
  const net = new TestSwarm({ hosts: 1000 })
  let parent = net.peer('root', 'reading')
  for (let index = 0; index < 200; index++) parent = net.peer(`h${index}`, 'running', { parent })
  expect(isRooted(parent)).toBe(true)
  expect(leadsToRoot(parent)).toBe(true)
})

test('whatever edges come and go, a peer is rooted exactly when there is a way', () => {
  const PEERS = 7
  const change = fc.record({
    link: fc.boolean(),
    parent: fc.nat(PEERS - 1),
    child: fc.nat(PEERS - 1),
    ask: fc.nat(PEERS - 1),
  })
  fc.assert(
    fc.property(fc.array(change, { minLength: 10, maxLength: 80 }), (changes) => {
      const net = new TestSwarm()
      const roots = ['r1', 'r2'].map((id) => net.peer(id, 'succeeded'))
      const peers = [...roots, ...Array.from({ length: PEERS - 2 }, (_, index) => net.peer(`h${index}`, 'running'))]
      const at = (index: number): Peer => peers[index] ?? net.peer('none', 'running')
      for (const { link, parent, child, ask } of changes) {
        if (child > 1) net.swarm[link ? 'link' : 'unlink'](at(parent), at(child))
        if (ask > 1) expect(isRooted(at(ask))).toBe(reaches(roots, at(ask)))
        // All at once, as when many are looked at for one child: nobody's search spoils another's.
        const searched = new Set<Peer>()
        if (ask === 0) for (const peer of peers.slice(2)) expect(isRooted(peer, searched)).toBe(reaches(roots, peer))
        checkSwarm(net.swarm)
      }
      for (const peer of peers.slice(2)) expect(isRooted(peer)).toBe(reaches(roots, peer))
    }),
    { numRuns: 300 },
  )
})

/** The same by looking at everything. */
function reaches(roots: readonly Peer[], peer: Peer): boolean {
  const found = new Set<Peer>(roots)
  for (const next of found) for (const child of next.children) found.add(child)
  return found.has(peer)
}

/** Peers each of which gets from the next one, and the last from the first. */
function circle(net: TestSwarm, size: 3): [Peer, Peer, Peer]
function circle(net: TestSwarm, size: 4): [Peer, Peer, Peer, Peer]
function circle(net: TestSwarm, size: number): Peer[] {
  const peers = Array.from({ length: size }, (_, index) => net.peer(`c${index}`, 'running'))
  peers.forEach((child, index) => net.swarm.link(peers[(index + 1) % size] ?? child, child))
  return peers
}
