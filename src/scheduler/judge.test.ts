import { expect, test } from 'vitest'
import { Failure } from '#core'
import type { Judge, Verdict } from './rank-parents.ts'
import type { Peer } from './swarm/model.ts'
import { settled } from './testkit/fake-clock.ts'
import { Loop, named } from './testkit/loop.ts'
import { TestNet } from './testkit/net.ts'

/** A judge that likes hosts of these names, the first best, and answers when it is told to. */
function judge(...liked: string[]): {
  readonly judge: Judge
  readonly asked: (readonly Peer[])[]
  readonly answer: () => void
} {
  const asked: (readonly Peer[])[] = []
  const waiting: (() => void)[] = []
  return {
    asked,
    answer: () => waiting.splice(0).forEach((resolve) => resolve()),
    judge: async (parents: readonly Peer[]): Promise<readonly Verdict[]> => {
      asked.push(parents)
      await new Promise<void>((resolve) => waiting.push(resolve))
      const rank = ({ host }: Peer): number => liked.indexOf(host.id)
      return parents.map((parent) => ({ score: rank(parent) < 0 ? -100 : -rank(parent), bad: false }))
    },
  }
}

/** Three parents with everything; the default likes the first best: it is in the child's data centre. */
function threeParents() {
  const loop = new Loop({ candidateParentLimit: 2 })
  const peers = ['near', 'b', 'c'].map((id) =>
    loop.net.peer(loop.net.host(id, id === 'near' ? { idc: 'i' } : {}), 'succeeded'),
  ) as [Peer, Peer, Peer]
  peers[0].edition?.signers.set('near', new Uint8Array(32))
  const child = loop.net.peer(loop.net.host('child', { idc: 'i' }), 'waiting')
  return { loop, peers, child }
}

test('a judge ranks in the place of the default, and as many are named as ever', async () => {
  const { loop, peers, child } = threeParents()
  const [near, b, c] = peers
  expect(named(await settledStart(loop, child))?.[0]).toBe(near.id)
  loop.net.swarm.unlinkParents(child)
  const { judge: judged, answer, asked } = judge('c', 'b')
  loop.judge = judged
  const outcome = await settledStart(loop, child)
  expect(outcome.answer).toBeUndefined()
  answer()
  await settled()
  expect(new Set(asked[0])).toEqual(new Set(peers))
  expect(named(outcome)).toEqual([c.id, b.id])
  expect([...child.parents]).toEqual([c, b])
})

test.each([
  ['at once', (): undefined => undefined],
  ['later', (): Promise<undefined> => Promise.resolve(undefined)],
] as const)('a judge that says nothing, %s, leaves it to the default', async (_when, says) => {
  const { loop, peers, child } = threeParents()
  loop.judge = says
  expect(named(await settledStart(loop, child))?.[0]).toBe(peers[0].id)
})

test('nobody is asked about a single parent', async () => {
  const loop = new Loop()
  const reader = loop.net.peer('reader', 'reading')
  const { judge: judged, asked } = judge('reader')
  loop.judge = judged
  expect(named(await settledStart(loop, loop.net.peer('child', 'waiting')))).toEqual([reader.id])
  expect(asked).toEqual([])
})

test('a parent that has gone or filled up while the judge thought is not named', async () => {
  const { loop, peers, child } = threeParents()
  const { judge: judged, answer } = judge('c', 'b', 'near')
  loop.judge = judged
  const outcome = await settledStart(loop, child)
  loop.net.swarm.removePeer(peers[2])
  loop.net.host('b', { uploadLimit: 0 })
  answer()
  await settled()
  expect(named(outcome)).toEqual([peers[0].id])
})

test('when none of them can any more, the child is looked at again', async () => {
  const { loop, peers, child } = threeParents()
  const { judge: judged, answer, asked } = judge('c', 'b', 'near')
  loop.judge = judged
  const outcome = await settledStart(loop, child)
  for (const peer of peers.slice(0, 2)) loop.net.swarm.removePeer(peer)
  loop.net.swarm.block(child, peers[2].id)
  const late = loop.net.peer('late', 'succeeded')
  answer()
  await settled()
  answer()
  await settled()
  expect(named(outcome)).toEqual([late.id])
  expect(asked).toHaveLength(1)
})

test('a caller that hangs up while the judge thinks gets no parents, and is nobody’s child', async () => {
  const { loop, child } = threeParents()
  const { judge: judged, answer } = judge('c')
  loop.judge = judged
  const caller = new AbortController()
  const outcome = loop.start(child, caller.signal)
  await settled()
  caller.abort(new Failure('download.cancelled', 'gone'))
  loop.net.swarm.move(child, 'fail', loop.clock.now())
  answer()
  await settled()
  expect(outcome.failure).toBe('download.cancelled')
  expect(child.parents.size).toBe(0)
})

test('a scheduler hands its judge on: children on the wire get what it likes best', async () => {
  const liked = judge('b')
  const settings = { candidateParentLimit: 1 }
  const says: Judge = (parents, child) => {
    const verdicts = liked.judge(parents, child)
    liked.answer()
    return verdicts
  }
  await using net = await TestNet.start(settings, { judge: says })
  using first = await (await net.host('a', { network: { idc: 'i' } })).readOrigin()
  using second = await (await net.host('b')).register()
  await second.parents()
  await second.started()
  using third = await (await net.host('c', { network: { idc: 'i' } })).register()
  expect(await third.parents()).toEqual([second.id])
  expect(first.id).not.toBe(second.id)
})

async function settledStart(loop: Loop, child: Peer) {
  const outcome = loop.start(child)
  await settled()
  return outcome
}
