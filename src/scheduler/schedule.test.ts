import { expect, test } from 'vitest'
import { Download } from '#api'
import { Failure, messageOf } from '#core'
import { silentLog } from '#runtime'
import { pieceFailed } from './reports.ts'
import { type Answer, schedule } from './schedule.ts'
import { tell, validate } from './swarm/editions.ts'
import type { Host, Peer } from './swarm/model.ts'
import { FakeClock, settled } from './testkit/fake-clock.ts'
import { checkSwarm } from './testkit/invariants.ts'
import { DESCRIBED, LIMITS, peerWish, TestSwarm } from './testkit/swarm.ts'
import { SeedRuns } from './wake-seeds.ts'

const WISH = Download.fromPartial({ url: 'http://origin/file' })

/** The loop, with seeds that do as they are told and time that stands still. */
class Loop {
  readonly net = new TestSwarm()
  readonly clock = new FakeClock()
  readonly woken: { host: string; end: (error?: Error) => void }[] = []
  readonly seeds: SeedRuns
  readonly limits: typeof LIMITS

  constructor(limits: Partial<typeof LIMITS> = {}) {
    this.limits = { ...LIMITS, ...limits }
    const download = (host: Host['facts'], _wish: Download, signal: AbortSignal): Promise<void> =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void => (error === undefined ? resolve() : reject(error))
        this.woken.push({ host: host.id, end })
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    const { clock } = this
    this.seeds = new SeedRuns({
      swarm: this.net.swarm,
      client: { download },
      clock,
      log: silentLog,
      limits: this.limits,
    })
  }

  /** Begins to look for parents; the answer is there once it is known. */
  start(
    child: Peer,
    signal = new AbortController().signal,
  ): { answer: Answer | undefined; failure: string | undefined } {
    const { net, clock, seeds, limits } = this
    const outcome: { answer: Answer | undefined; failure: string | undefined } = {
      answer: undefined,
      failure: undefined,
    }
    schedule(child, WISH, { swarm: net.swarm, seeds, clock, limits, random: () => 0 }, signal).then(
      (answer) => {
        outcome.answer = answer
        checkSwarm(net.swarm)
      },
      (error: unknown) => {
        outcome.failure = error instanceof Failure ? error.code : messageOf(error)
      },
    )
    return outcome
  }

  /** A seed registers in the middle of its run, as it does on the wire. */
  register(host: Host, state: 'reading' | 'succeeded' = 'reading', described = DESCRIBED): Peer {
    const peer = this.net.peer(host, state, { described })
    this.seeds.registered(peer)
    peer.edition?.signers.set(host.id, new Uint8Array(32))
    if (peer.edition !== undefined) peer.edition.validatedAtMs = { bySeed: this.clock.now(), byAny: this.clock.now() }
    return peer
  }
}

function named(outcome: { answer: Answer | undefined }): string[] | undefined {
  return outcome.answer?.kind === 'parents' ? outcome.answer.parents.map(({ id }) => id) : undefined
}

test('a child for whom there are parents is given them without any waiting, and counts as theirs', async () => {
  const { net, ...loop } = new Loop()
  const all = new Loop()
  const reader = all.net.peer('reader', 'reading')
  const child = all.net.peer('child', 'waiting')
  const outcome = all.start(child)
  await settled()
  expect(named(outcome)).toEqual([reader.id])
  expect([...child.parents.keys()]).toEqual([reader])
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
    expect(named(outcome)).toEqual([first.id])
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

test('one seed is woken for a hundred children, and serves them all', async () => {
  const loop = new Loop()
  const seed = loop.net.seed('seed')
  const outcomes = Array.from({ length: 100 }, (_, index) => loop.start(loop.net.peer(`h${index}`, 'waiting')))
  await settled()
  expect(loop.woken.map(({ host }) => host)).toEqual(['seed'])
  const peer = loop.register(seed)
  await settled()
  expect(outcomes.filter((outcome) => named(outcome)?.includes(peer.id))).toHaveLength(100)
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

test('who reads a range of the origin keeps nobody from reading the rest', async () => {
  const loop = new Loop()
  loop.net.peer('part', 'reading', { range: { start: 0, end: 99 } })
  const outcome = loop.start(loop.net.peer('whole', 'waiting'))
  await settled()
  expect(outcome.answer?.kind).toBe('source')
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

test('nobody waits for a better reader that does not come', async () => {
  const loop = new Loop()
  loop.net.peer('rich', 'running').pieces.addAll(8)
  const outcome = loop.start(loop.net.peer('poor', 'running'))
  await loop.clock.pass(LIMITS.retryInterval)
  expect(outcome.answer?.kind).toBe('source')
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
