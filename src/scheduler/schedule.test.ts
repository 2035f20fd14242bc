import { expect, test } from 'vitest'
import { Failure } from '#core'
import { pieceFailed } from './reports.ts'
import { settled } from './testkit/fake-clock.ts'
import { Loop, named } from './testkit/loop.ts'
import { LIMITS } from './testkit/swarm.ts'

test('a child for whom there are parents is given them without any waiting, and counts as theirs', async () => {
  const { net, ...loop } = new Loop()
  const all = new Loop()
  const reader = all.net.peer('reader', 'reading')
  const child = all.net.peer('child', 'waiting')
  const outcome = all.start(child)
  await settled()
  expect(named(outcome)).toEqual([reader.id])
  expect([...child.parents]).toEqual([reader])
  expect(reader.host.uploads).toMatchObject({ children: 1, pieces: 8 })
  expect([net.swarm.peerCount, loop.woken]).toEqual([0, []])
})

test('the first child reads the origin when there is no seed; those that come meanwhile do not', async () => {
  const loop = new Loop()
  const first = loop.net.peer('first', 'waiting')
  expect(loop.start(first)).toBeDefined()
  await settled()
  expect(first.state).toBe('back-to-source')
  for (let index = 0; index < 10; index++) {
    const outcome = loop.start(loop.net.peer(`next-${index}`, 'waiting'))
    await settled()
    expect(named(outcome)).toContain(first.id)
  }
})

test('at most backSourceCount peers read the origin at once; the next one only when one of them is gone', async () => {
  const loop = new Loop({ backSourceCount: 2 })
  const wish = { wantsSource: true }
  const peers = [1, 2, 3, 4].map((index) => loop.net.peer(`h${index}`, 'waiting', wish))
  const outcomes = peers.map((peer) => loop.start(peer))
  await settled()
  expect(outcomes.map(({ answer }) => answer?.kind)).toEqual(['source', 'source', 'parents', 'parents'])
  const [first, , third] = peers
  if (first === undefined || third === undefined) throw new Error('no peers')
  loop.net.swarm.move(first, 'fail', loop.clock.now())
  const again = loop.start(third)
  await settled()
  expect(again.answer?.kind).toBe('source')
})

test('a child that had bad luck with who reads the origin waits four intervals, then reads it too', async () => {
  const loop = new Loop()
  const reader = loop.net.peer('reader', 'reading')
  const child = loop.net.peer('child', 'running', { parent: reader })
  pieceFailed(child, { parentId: reader.id, temporary: true, corrupt: false }, loop.net.swarm, loop.clock.now())
  const outcome = loop.start(child)
  await loop.clock.pass(4 * LIMITS.retryInterval - 1)
  expect(outcome.answer).toBeUndefined()
  await loop.clock.pass(1)
  expect(outcome.answer?.kind).toBe('source')
})

test('a child that may not read the origin is refused after five intervals in which nobody came', async () => {
  const loop = new Loop()
  const outcome = loop.start(loop.net.peer('child', 'waiting', { sourceForbidden: true }))
  await loop.clock.pass(5 * LIMITS.retryInterval - 1)
  expect(outcome.failure).toBeUndefined()
  await loop.clock.pass(1)
  expect(outcome.failure).toBe('download.no_source')
})

test('of a full neighbourhood one makes room for another as long as the swarm grows, and never who has everything', async () => {
  const loop = new Loop({ neighbourLimit: 3 }, Math.random)
  const { net } = loop
  const reader = net.peer('reader', 'reading')
  const child = net.peer('child', 'running', { parent: reader })
  const first = ['a', 'b'].map((name) => net.peer(name, 'running', { parent: reader }))
  for (const parent of first) net.swarm.link(parent, child)
  const ask = async (): Promise<string | undefined> => {
    const outcome = loop.start(child)
    await settled()
    expect(child.parents.size).toBe(3)
    return named(outcome)?.[0]
  }
  const second = net.peer('second', 'running', { parent: reader })
  for (let turn = 0; turn < 50; turn++) expect(await ask()).toBe(reader.id)
  expect(child.parents.has(second)).toBe(false)

  net.nowMs += 10_000
  const late = net.peer('late', 'running', { parent: reader })
  const met = new Set<unknown>()
  for (let turn = 0; turn < 50; turn++) {
    expect(await ask()).not.toBe(reader.id)
    for (const parent of child.parents) met.add(parent)
  }
  expect(met).toEqual(new Set([reader, ...first, second, late]))
})

test('a child that waits is told of a new parent at once, without a tick of the clock', async () => {
  const loop = new Loop()
  const outcome = loop.start(loop.net.peer('child', 'waiting', { sourceForbidden: true }))
  await settled()
  expect(outcome.answer).toBeUndefined()
  const reader = loop.net.peer('reader', 'reading')
  await settled()
  expect(named(outcome)).toEqual([reader.id])
})

test('a child waits for a place at a busy parent, gets the first that is free, and gives up after a minute', async () => {
  const loop = new Loop()
  const reader = loop.net.peer(loop.net.host('reader', { uploadLimit: 1 }), 'reading')
  // It has the only place, and is no parent itself: its own host does not share.
  const first = loop.net.peer(loop.net.host('first', { disableShared: true }), 'running', { parent: reader })
  const second = loop.start(loop.net.peer('second', 'waiting'))
  await loop.clock.pass(30_000)
  expect(second.answer).toBeUndefined()
  loop.net.swarm.move(first, 'succeed', loop.clock.now())
  await settled()
  expect(named(second)).toEqual([reader.id])
  const third = loop.start(
    loop.net.peer(loop.net.host('third', { disableShared: true }), 'waiting', { sourceForbidden: true }),
  )
  for (const peer of reader.children) loop.net.swarm.block(peer, 'nobody')
  await loop.clock.pass(60_000)
  expect(third.failure ?? named(third)).toBeDefined()
})

test('a child that is forgotten while it waits is told so', async () => {
  const loop = new Loop()
  const child = loop.net.peer('child', 'waiting', { sourceForbidden: true })
  const outcome = loop.start(child)
  await settled()
  loop.net.swarm.move(child, 'leave', loop.clock.now())
  await settled()
  expect(outcome.failure).toBe('task.unknown')
})

test('a caller that hangs up ends the waiting, and leaves no timer behind', async () => {
  const loop = new Loop()
  const caller = new AbortController()
  const outcome = loop.start(loop.net.peer('child', 'waiting', { sourceForbidden: true }), caller.signal)
  await settled()
  expect([loop.clock.sleeping, loop.net.task.bell.waiting]).toEqual([1, 1])
  caller.abort(new Failure('download.cancelled', 'gone'))
  await settled()
  expect(outcome.failure).toBe('download.cancelled')
  expect([loop.clock.sleeping, loop.net.task.bell.waiting]).toEqual([0, 0])
})

test('of two peers that lost their parents the one with more pieces reads the origin', async () => {
  const loop = new Loop()
  const rich = loop.net.peer('rich', 'running')
  rich.pieces.addAll(8)
  const poor = loop.net.peer('poor', 'running')
  const poorOutcome = loop.start(poor)
  await settled()
  expect(poorOutcome.answer).toBeUndefined()
  const richOutcome = loop.start(rich)
  await settled()
  expect(richOutcome.answer?.kind).toBe('source')
  expect(named(poorOutcome)).toEqual([rich.id])
})

test('nobody waits for one that has more pieces but gets the rest from somebody it cannot use itself', async () => {
  const loop = new Loop()
  const reader = loop.net.peer('reader', 'succeeded')
  const rich = loop.net.peer(loop.net.host('rich', { disableShared: true }), 'running', { parent: reader })
  rich.pieces.addAll(8)
  const child = loop.net.peer('child', 'running')
  loop.net.swarm.block(child, reader.id)
  const outcome = loop.start(child)
  await settled()
  expect(outcome.answer?.kind).toBe('source')
})

test('a child that failed to fetch from a parent is none of its children any more', async () => {
  const loop = new Loop()
  const reader = loop.net.peer('reader', 'reading')
  const child = loop.net.peer('child', 'running', { parent: reader })
  pieceFailed(child, { parentId: reader.id, temporary: true, corrupt: false }, loop.net.swarm, loop.clock.now())
  expect([reader.children.size, reader.host.uploads.children]).toEqual([0, 0])
})

test('nobody waits for a better reader that does not come', async () => {
  const loop = new Loop()
  loop.net.peer('rich', 'running').pieces.addAll(8)
  const outcome = loop.start(loop.net.peer('poor', 'running'))
  await loop.clock.pass(LIMITS.retryInterval)
  expect(outcome.answer?.kind).toBe('source')
})

test('who reads a range of the origin keeps nobody from reading the rest', async () => {
  const loop = new Loop()
  loop.net.peer('part', 'reading', { range: { start: 0, end: 99 } })
  const outcome = loop.start(loop.net.peer('whole', 'waiting'))
  await settled()
  expect(outcome.answer?.kind).toBe('source')
})

test.each([
  [1, 'download.no_source'],
  [2, 'task.unknown'],
] as const)('a peer of priority LEVEL%d is not the first to have a task', async (priority, code) => {
  const loop = new Loop()
  loop.net.seed('seed')
  const outcome = loop.start(loop.net.peer('child', 'waiting', { priority }))
  await settled()
  expect([outcome.failure, loop.woken.length]).toEqual([code, 0])
})

test('a peer of priority LEVEL3 reads the origin itself, and wakes no seed', async () => {
  const loop = new Loop()
  loop.net.seed('seed')
  const child = loop.net.peer('child', 'waiting', { priority: 3 })
  const outcome = loop.start(child)
  await settled()
  expect([outcome.answer?.kind, loop.woken.length, child.unproven]).toEqual(['source', 0, true])
})
