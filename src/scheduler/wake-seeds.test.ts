import { expect, test } from 'vitest'
import { Failure } from '#core'
import { tell, validate } from './swarm/editions.ts'
import type { Peer } from './swarm/model.ts'
import { leadsToRoot } from './swarm/rooted.ts'
import { settled } from './testkit/fake-clock.ts'
import { Loop, named } from './testkit/loop.ts'
import { DESCRIBED, LIMITS, peerWish } from './testkit/swarm.ts'

test('one seed is woken for a hundred children, some of which fetch from it, and the others from them', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  const outcomes = Array.from({ length: 100 }, (_, index) => loop.start(loop.net.peer(`h${index}`, 'waiting')))
  await settled()
  expect(loop.woken.map(({ host }) => host)).toEqual(['seed'])
  const peer = loop.register(seed)
  await settled()
  expect(outcomes.filter((outcome) => named(outcome) === undefined)).toEqual([])
  expect(outcomes.filter((outcome) => named(outcome)?.includes(peer.id))).toHaveLength(LIMITS.firstHandLimit)
  expect([...(peer.edition?.peers ?? [])].filter((each) => !leadsToRoot(each))).toEqual([])
})

test('every scheduler wakes the same seed for a task, and other seeds for other tasks', async () => {
  const picked = new Set<string>()
  for (const order of [
    ['a', 'b', 'c'],
    ['c', 'b', 'a'],
  ]) {
    const loop = new Loop()
    for (const id of order) loop.net.seed(id)
    loop.start(loop.net.peer('child', 'waiting'))
    await settled()
    picked.add(loop.woken[0]?.host ?? '')
  }
  expect(picked.size).toBe(1)
})

test('when a seed fails the next one is woken, and after the last a child reads the origin', async () => {
  const loop = new Loop()
  for (const id of ['a', 'b']) loop.net.seed(id)
  const outcome = loop.start(loop.net.peer('child', 'waiting'))
  await settled()
  loop.woken[0]?.end(new Failure('source.broken', 'no'))
  await settled()
  expect(new Set(loop.woken.map(({ host }) => host))).toEqual(new Set(['a', 'b']))
  loop.woken[1]?.end(new Failure('source.broken', 'never'))
  await settled()
  expect(outcome.answer).toMatchObject({ kind: 'source', why: expect.stringContaining('never') })
})

test('a seed that failed is asked again after a while', async () => {
  const loop = new Loop()
  loop.net.seed('seed')
  const first = loop.net.peer('first', 'waiting')
  loop.start(first)
  await settled()
  loop.woken[0]?.end(new Failure('source.broken', 'no'))
  await settled()
  loop.net.swarm.move(first, 'fail', loop.clock.now())
  await loop.clock.pass(LIMITS.seedRetryAfter)
  loop.start(loop.net.peer('second', 'waiting'))
  await settled()
  expect(loop.woken).toHaveLength(2)
})

test('a seed that does not register in time counts as failed', async () => {
  const loop = new Loop()
  loop.net.seed('seed')
  const outcome = loop.start(loop.net.peer('child', 'waiting'))
  await loop.clock.pass(LIMITS.seedTimeout - 1)
  expect(outcome.answer).toBeUndefined()
  await loop.clock.pass(1)
  expect(outcome.answer?.kind).toBe('source')
})

test('a seed whose call breaks is no parent any more', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  loop.start(loop.net.peer('child', 'waiting'))
  await settled()
  const peer = loop.register(seed)
  loop.woken[0]?.end(new Failure('peer.unreachable', 'reset'))
  await settled()
  expect([peer.state, peer.edition?.offering.has(peer)]).toEqual(['failed', false])
})

test('a seed that says it is done but took no part counts as failed', async () => {
  const loop = new Loop()
  loop.net.seed('seed')
  const outcome = loop.start(loop.net.peer('child', 'waiting'))
  await settled()
  loop.woken[0]?.end()
  await settled()
  expect(outcome.answer?.kind).toBe('source')
})

test('a seed that finds another version leaves the child to the origin, and the child is believed for its own', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  const child = loop.net.peer('child', 'waiting')
  const outcome = loop.start(child)
  await settled()
  loop.register(seed, 'reading', { ...DESCRIBED, version: 'newer' })
  await settled()
  expect(outcome.answer?.kind).toBe('source')
  expect([...(child.edition?.signers.keys() ?? [])]).toEqual(['child'])
})

test('a child with a range wakes a seed for that range, and a child that wants all wakes it for all', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  const range = { start: 0, end: 99 }
  loop.start(loop.net.peer('part', 'waiting', { range }))
  await settled()
  const part = loop.net.peer(seed, 'reading', { range, id: 'seed-part' })
  loop.seeds.registered(part)
  const whole = loop.start(loop.net.peer('whole', 'waiting'))
  await settled()
  expect(loop.woken).toHaveLength(2)
  const all = loop.net.peer(seed, 'reading', { id: 'seed-all' })
  loop.seeds.registered(all)
  await settled()
  expect(named(whole)).toEqual([all.id])
})

test('a child that wants all does not wait for a seed that is asked for a range', async () => {
  const loop = new Loop()
  loop.net.seed('seed')
  loop.start(loop.net.peer('part', 'waiting', { range: { start: 0, end: 99 } }))
  loop.start(loop.net.peer('same-part', 'waiting', { range: { start: 10, end: 99 } }))
  await settled()
  expect(loop.woken).toHaveLength(1)
  loop.start(loop.net.peer('whole', 'waiting'))
  await settled()
  expect(loop.woken).toHaveLength(2)
})

function blind(loop: Loop, id: string): Peer {
  const peer = loop.net.swarm.openPeer(loop.net.task, loop.net.host(id), peerWish(`${id}-peer`), loop.clock.now())
  loop.net.swarm.move(peer, 'register-normal', loop.clock.now())
  return peer
}

test('who cannot look at the origin is believed nothing old: a seed looks first', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  const old = loop.register(seed, 'succeeded')
  await loop.clock.pass(LIMITS.freshness)
  const child = blind(loop, 'child')
  const outcome = loop.start(child)
  await settled()
  expect([outcome.answer, loop.woken.length]).toEqual([undefined, 1])
  // Still the same: the seed has it, and says so.
  loop.woken[0]?.end()
  await settled()
  expect(named(outcome)).toEqual([old.id])
  const next = loop.start(blind(loop, 'next'))
  await settled()
  expect([next.answer?.kind, loop.woken.length]).toEqual(['parents', 1])
})

test('who cannot look at the origin gets the new version when the seed finds one', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  loop.register(seed, 'succeeded')
  await loop.clock.pass(LIMITS.freshness)
  const child = blind(loop, 'child')
  const outcome = loop.start(child)
  await settled()
  const fresh = loop.net.peer(seed, 'reading', { described: { ...DESCRIBED, version: 'v2' }, id: 'seed-2' })
  if (fresh.edition !== undefined) fresh.edition.validatedAtMs = { bySeed: loop.clock.now(), byAny: loop.clock.now() }
  loop.seeds.registered(fresh)
  await settled()
  expect(named(outcome)).toEqual([fresh.id])
  expect(child.edition?.version).toBe('v2')
})

test('a host that invents a version does not get those who cannot look, where there is a seed', async () => {
  const loop = new Loop()
  loop.net.seed('seed')
  const liar = loop.net.peer('liar', 'reading', { described: { ...DESCRIBED, version: 'invented' } })
  if (liar.edition !== undefined) liar.edition.validatedAtMs.byAny = loop.clock.now()
  const child = blind(loop, 'child')
  loop.start(child)
  await settled()
  expect([child.edition, loop.woken.length]).toEqual([undefined, 1])
})

test('a host that was told of a version does not vouch for it by repeating it', () => {
  const { net } = new Loop()
  const edition = net.swarm.edition(net.task, DESCRIBED)
  const [told, looked] = [net.host('told'), net.host('looked')]
  tell(edition, told, net.nowMs)
  validate(edition, told, net.nowMs + 1000)
  expect(edition.validatedAtMs.byAny).toBe(Number.NEGATIVE_INFINITY)
  validate(edition, looked, net.nowMs + 1000)
  expect(edition.validatedAtMs).toEqual({ byAny: net.nowMs + 1000, bySeed: Number.NEGATIVE_INFINITY })
})

test('no more seeds are woken at once than the limit says', async () => {
  const loop = new Loop({ maxSeedRuns: 0 })
  loop.net.seed('seed')
  const outcome = loop.start(loop.net.peer('child', 'waiting'))
  await settled()
  expect([outcome.answer?.kind, loop.woken.length]).toEqual(['source', 0])
})
