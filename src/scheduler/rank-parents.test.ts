import { expect, test } from 'vitest'
import { defaultScore, hostType, idc, load, location, rankByVerdicts, rankParents } from './rank-parents.ts'
import type { Peer } from './swarm/model.ts'
import { MiB, TestSwarm } from './testkit/swarm.ts'

const GBIT = 1e9

test.each([
  ['no rate known, no children', 0, { pieces: 0, bytes: 0, owedBytes: 0 }, 1],
  ['no rate known, 4 children', 0, { children: 4, pieces: 32, bytes: 1e9, owedBytes: 1e12 }, 0.5],
  ['no rate known, 12 children', 0, { children: 12, pieces: 96, bytes: 1e9, owedBytes: 1e12 }, 0.25],
  ['idle, 10 Gbit/s', 10 * GBIT, { pieces: 0, bytes: 0, owedBytes: 0 }, 0.5 + 0.3 + 0.2],
  ['idle, too slow for one piece a second', 0.1 * GBIT, { pieces: 0, bytes: 0, owedBytes: 0 }, 0.5 + 0.3],
  ['half of its rate in flight', 10 * GBIT, { pieces: 0, bytes: (5 * GBIT) / 8, owedBytes: 0 }, 0.25 + 0.3 + 0.2],
  ['more than its rate in flight', 10 * GBIT, { pieces: 0, bytes: (20 * GBIT) / 8, owedBytes: 0 }, 0.3 + 0.2],
  ['owes half a minute', 10 * GBIT, { pieces: 0, bytes: 0, owedBytes: (30 * 10 * GBIT) / 8 }, 0.5 + 0.15 + 0.2],
  ['owes two minutes', 10 * GBIT, { pieces: 0, bytes: 0, owedBytes: (120 * 10 * GBIT) / 8 }, 0.5 + 0.2],
  ['twice the pieces it can give at once', 16 * MiB * 8 * 10, { pieces: 20, bytes: 0, owedBytes: 0 }, 0.5 + 0.3 + 0.1],
] as const)('load: %s', (_name, maxTxBps, uploads, expected) => {
  const net = new TestSwarm()
  const parent = net.peer(net.host('p', { maxTxBps }), 'succeeded')
  Object.assign(parent.host.uploads, uploads)
  expect(load(parent, parent, net.task)).toBeCloseTo(expected, 10)
})

test.each([
  ['', '', 0],
  ['east', '', 0],
  ['East', 'east', 1],
  ['east', 'west', 0],
] as const)('idc: %s and %s', (theirs, mine, expected) => {
  const { parent, child } = pair({ idc: theirs }, { idc: mine })
  expect(idc(parent, child, parent.task)).toBe(expected)
})

test.each([
  ['', '', 0],
  ['a|b|c', 'a|b|c', 1],
  ['A|b', 'a|B', 1],
  ['a|b|c', 'a|b|d', 0.4],
  ['a|b', 'a', 0.2],
  ['a', 'a|b', 0.2],
  ['x|b', 'a|b', 0],
  ['1|2|3|4|5|6|7', '1|2|3|4|5|6|8', 1],
] as const)('location: %s and %s', (theirs, mine, expected) => {
  const { parent, child } = pair({ location: theirs }, { location: mine })
  expect(location(parent, child, parent.task)).toBe(expected)
})

test.each([
  [false, 'running', 0.5],
  [false, 'succeeded', 0.5],
  [true, 'running', 1],
  [true, 'waiting', 1],
  [true, 'succeeded', 0],
  [true, 'reading', 0],
] as const)('host type: seed %s, %s', (seed, state, expected) => {
  const net = new TestSwarm()
  const parent = net.peer(net.host('p', { seed }), state)
  expect(hostType(parent, parent, net.task)).toBe(expected)
})

test('who has no piece yet is as good as one with two children more', () => {
  const net = new TestSwarm()
  const [empty, begun] = [net.peer('empty', 'running'), net.peer('begun', 'running')]
  begun.pieces.add(7)
  begun.host.uploads.children = 2
  expect(load(empty, empty, net.task)).toBe(load(begun, begun, net.task))
  begun.host.uploads.children = 1
  expect(load(empty, empty, net.task)).toBeLessThan(load(begun, begun, net.task))
})

test('the whole score weighs load, data centre, location and host type 6 : 2 : 1 : 1', () => {
  const near = { idc: 'i', location: 'l', maxTxBps: 10 * GBIT }
  const { parent, child } = pair(near, near)
  expect(defaultScore(parent, child, parent.task)).toBeCloseTo(0.6 + 0.2 + 0.1 + 0.05, 10)
})

test('the best parent comes first, and another ranking gives another order', () => {
  const net = new TestSwarm()
  const far = net.peer(net.host('far'), 'succeeded')
  const near = net.peer(net.host('near', { idc: 'i' }), 'succeeded')
  const child = net.peer(net.host('child', { idc: 'i' }), 'waiting')
  expect(rankParents([far, near], child)).toEqual([near, far])
  expect(rankParents([near, far], child, ({ host }) => (host.id === 'far' ? 1 : 0))).toEqual([far, near])
})

test('by verdicts: the best first, equals in their order, bad ones only where all are bad', () => {
  const net = new TestSwarm()
  const [a, b, c] = ['a', 'b', 'c'].map((id) => net.peer(net.host(id), 'succeeded')) as [Peer, Peer, Peer]
  const verdicts = (...of: [number, boolean][]) => of.map(([score, bad]) => ({ score, bad }))
  expect(rankByVerdicts([a, b, c], verdicts([1, false], [7, false], [-3, false]))).toEqual([b, a, c])
  expect(rankByVerdicts([a, b, c], verdicts([1, false], [1, false], [1, false]))).toEqual([a, b, c])
  expect(rankByVerdicts([a, b, c], verdicts([1, false], [9, true], [2, false]))).toEqual([c, a])
  expect(rankByVerdicts([a, b, c], verdicts([1, true], [9, true], [2, true]))).toEqual([b, c, a])
})

function pair(theirs: Parameters<TestSwarm['host']>[1], mine: typeof theirs): { parent: Peer; child: Peer } {
  const net = new TestSwarm()
  return { parent: net.peer(net.host('p', theirs), 'succeeded'), child: net.peer(net.host('c', mine), 'waiting') }
}
