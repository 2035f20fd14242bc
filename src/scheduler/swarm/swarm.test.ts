import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pieceFailed, pieceFinished } from '../reports.ts'
import { checkSwarm } from '../testkit/invariants.ts'
import { DESCRIBED, hostFacts, MiB, peerWish, TestSwarm } from '../testkit/swarm.ts'
import { covers } from './editions.ts'
import { sweep } from './expire.ts'
import type { Peer } from './model.ts'
import type { PeerEvent } from './states.ts'

const HOSTS = 6
const TASKS = 2
const PEERS = 8
const TTLS = { peerTtl: 500, pieceTimeout: 200, hostTtl: 400, taskTtl: 300 }

type Step =
  | { do: 'announce'; host: number; seed: boolean; disableShared: boolean }
  | { do: 'forget host'; host: number }
  | { do: 'register'; task: number; peer: number; host: number; version: number; ranged: boolean; so: PeerEvent[] }
  | { do: 'move'; task: number; peer: number; event: PeerEvent }
  | { do: 'link'; task: number; peer: number; parent: number }
  | { do: 'unlink'; task: number; peer: number }
  | { do: 'remove'; task: number; peer: number }
  | { do: 'join'; task: number; peer: number; version: number }
  | { do: 'unproven'; task: number; peer: number; unproven: boolean }
  | { do: 'piece'; task: number; peer: number; parent: number; number: number; corrupt: boolean }
  | { do: 'sweep'; ms: number }

const host = fc.nat(HOSTS - 1)
const task = fc.nat(TASKS - 1)
const peer = fc.nat(PEERS - 1)
const version = fc.constantFrom(0, 1, 1, 1, 1, 2)
/** What a registration is followed by at once. */
const so = fc.constantFrom<PeerEvent[]>(
  [],
  ['register-normal'],
  ['register-normal', 'start'],
  ['register-normal', 'read-source'],
  ['register-normal', 'succeed'],
)
const EVENTS: PeerEvent[] = ['register-normal', 'start', 'read-source', 'succeed', 'fail', 'leave']

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('announce' as const), host, seed: fc.boolean(), disableShared: rarely() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget host' as const), host }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('register' as const), task, peer, host, version, ranged: rarely(), so }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('move' as const), task, peer, event: fc.constantFrom(...EVENTS) }),
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('link' as const), task, peer, parent: peer }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('unlink' as const), task, peer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), task, peer }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('join' as const), task, peer, version }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unproven' as const), task, peer, unproven: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('piece' as const),
      task,
      peer,
      parent: peer,
      number: fc.nat(12),
      corrupt: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const), ms: fc.nat(150) }) },
)

/** A walk begins in a crowd: one that reads the origin, one that is done, others that fetch. */
const crowd: Step[] = [0, 1].flatMap((task) =>
  Array.from({ length: PEERS }, (_, peer): Step => {
    const state: PeerEvent = peer === 0 ? 'read-source' : peer === 1 ? 'succeed' : 'start'
    return { do: 'register', task, peer, host: peer % HOSTS, version: 1, ranged: false, so: ['register-normal', state] }
  }),
)

function rarely(): fc.Arbitrary<boolean> {
  return fc.nat(9).map((number) => number === 0)
}

/** Does a step where it makes sense; what it refers to may be gone already. */
function run(net: TestSwarm, step: Step): void {
  const { swarm } = net
  const find = (at: { task: number; peer: number }): Peer | undefined =>
    swarm.tasks.get(`t${at.task}`)?.peers.get(`p${at.peer}`)
  const described = (version: number) => ({ ...DESCRIBED, version: `v${version}` })
  switch (step.do) {
    case 'announce':
      return void swarm.announce(
        hostFacts(`h${step.host}`, { seed: step.seed, disableShared: step.disableShared, intervalMs: 300 }),
        net.nowMs,
      )
    case 'forget host': {
      const known = swarm.hosts.get(`h${step.host}`)
      return known && swarm.removeHost(known, net.nowMs)
    }
    case 'register': {
      const owner = swarm.hosts.get(`h${step.host}`)
      const before = find(step)
      if (owner === undefined || (before !== undefined && before.host !== owner)) return
      const opened = net.openTask(`t${step.task}`)
      const range = step.ranged ? { start: 0, end: MiB } : undefined
      const made = swarm.openPeer(opened, owner, { ...peerWish(`p${step.peer}`), range }, net.nowMs)
      if (step.version > 0) swarm.join(made, swarm.edition(opened, described(step.version)))
      for (const event of step.so) swarm.move(made, event, net.nowMs)
      return
    }
    case 'sweep':
      net.nowMs += step.ms
      return void sweep(swarm, TTLS, net.nowMs)
    default:
      return runOnPeer(net, step, find)
  }
}

function runOnPeer(
  { swarm, nowMs }: TestSwarm,
  step: Exclude<Step, { do: 'announce' | 'forget host' | 'register' | 'sweep' }>,
  find: (at: { task: number; peer: number }) => Peer | undefined,
): void {
  const one = find(step)
  if (one === undefined) return
  switch (step.do) {
    case 'move':
      return void swarm.move(one, step.event, nowMs)
    case 'unlink':
      return swarm.unlinkParents(one)
    case 'remove':
      return swarm.removePeer(one)
    case 'join':
      return swarm.join(one, swarm.edition(one.task, { ...DESCRIBED, version: `v${step.version}` }))
    case 'unproven':
      return swarm.setUnproven(one, step.unproven)
    case 'link': {
      // What `findParents` sees to before a link is made.
      const parent = find({ ...step, peer: step.parent })
      const may = one.state === 'received-normal' || one.state === 'running'
      if (parent === undefined || one.edition === undefined || !may) return
      return one.edition.offering.has(parent) && covers(parent.range, one.range) ? swarm.link(parent, one) : undefined
    }
    case 'piece': {
      const parentId = `p${step.parent}`
      pieceFinished(one, { number: step.number, costMs: step.number, parentId }, nowMs)
      return pieceFailed(one, { parentId, temporary: true, corrupt: step.corrupt }, swarm, nowMs)
    }
  }
}

test('whatever happens in whatever order, the swarm stays consistent', () => {
  let linked = 0
  let steps = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (all) => {
      const net = new TestSwarm()
      for (let index = 0; index < HOSTS; index++) net.host(`h${index}`, { seed: index === 0, intervalMs: 300 })
      for (const each of [...crowd, ...all]) {
        const before = edges(net)
        run(net, each)
        checkSwarm(net.swarm)
        steps++
        if (edges(net) > before) linked++
      }
    }),
    { numRuns: 400 },
  )
  // The walk has gone where it should: many steps, and swarms with edges in them.
  expect(steps).toBeGreaterThan(10_000)
  expect(linked).toBeGreaterThan(300)
})

function edges({ swarm }: TestSwarm): number {
  let count = 0
  for (const { peers } of swarm.tasks.values()) for (const { parents } of peers.values()) count += parents.size
  return count
}

test('a peer that registers again takes the place of its older self, another host may not', () => {
  const net = new TestSwarm()
  const before = net.peer('host', 'reading')
  net.peer('child', 'running', { parent: before })
  const after = net.peer('host', 'waiting')
  checkSwarm(net.swarm)
  expect([before.state, after.state, net.task.peers.get(before.id)]).toEqual(['left', 'received-normal', after])
  expect(() => net.peer('thief', 'waiting', { id: before.id })).toThrowError(
    expect.objectContaining({ code: 'usage.invalid' }),
  )
})

test.each([
  ['hosts', { hosts: 1 }, (net: TestSwarm) => net.host('second')],
  ['tasks', { tasks: 1 }, (net: TestSwarm) => net.openTask('second')],
  ['peers', { peers: 1 }, (net: TestSwarm) => net.peer('first', 'waiting', { id: 'second' })],
  ['peers of one task', { peersPerTask: 1 }, (net: TestSwarm) => net.peer('first', 'waiting', { id: 'second' })],
])('no more %s are kept than the bound says', (_what, bounds, add) => {
  const net = new TestSwarm(bounds)
  net.peer('first', 'waiting')
  expect(() => add(net)).toThrowError(expect.objectContaining({ code: 'scheduler.full' }))
  checkSwarm(net.swarm)
})

test('editions that nobody lives in make room for new ones; where all are lived in there is no more room', () => {
  const net = new TestSwarm()
  const peers = Array.from({ length: 16 }, (_, index) =>
    net.peer(`h${index}`, 'reading', { described: { ...DESCRIBED, version: `v${index}` } }),
  )
  const another = (): Peer => net.peer('more', 'reading', { described: { ...DESCRIBED, version: 'more' } })
  expect(another).toThrowError(expect.objectContaining({ code: 'scheduler.full' }))
  const [first] = peers
  if (first !== undefined) net.swarm.move(first, 'fail', net.nowMs)
  expect(another().edition?.version).toBe('more')
  expect(net.task.editions).toHaveLength(16)
  checkSwarm(net.swarm)
})

test('a length that was not known to those who described it is not learned from who claims one', () => {
  const net = new TestSwarm()
  const unknown = { ...DESCRIBED, contentLength: undefined }
  const honest = net.peer('honest', 'reading', { described: unknown })
  const liar = net.peer('liar', 'reading', { described: { ...DESCRIBED, contentLength: 5 } })
  const next = net.peer('next', 'waiting', { described: unknown })
  expect(liar.edition).not.toBe(honest.edition)
  expect(next.edition).toBe(honest.edition)
  expect(honest.edition?.contentLength).toBeUndefined()
})
