import { expect, test } from 'vitest'
import type { Ask } from './member.ts'
import { Strategy, type StrategyDeps } from './strategy.ts'

const KiB = 1024
const PIECE = 4096 * KiB
const BLOCK = 512 * KiB

function make(pieces: number | undefined, deps: Partial<StrategyDeps> & { clock?: { ms: number } } = {}) {
  const clock = deps.clock ?? { ms: 0 }
  let seed = 1
  const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647
  const contentLength = pieces === undefined ? undefined : pieces * PIECE
  const shape = { pieceLength: PIECE, unitLength: BLOCK, contentLength }
  const strategy = new Strategy(shape, { now: () => clock.ms, random, inOrder: () => false, ...deps })
  return { strategy, clock }
}

const some = (...indexes: number[]) => ({ has: (index: number) => indexes.includes(index) })

function all(strategy: Strategy, id: string): Ask[] {
  const asks: Ask[] = []
  for (let ask = strategy.next(id); ask !== undefined; ask = strategy.next(id)) asks.push(ask)
  return asks
}

function bring(strategy: Strategy, ask: Ask, clock: { ms: number }, ms: number): void {
  clock.ms += ms
  const { first, count } = ask
  strategy.got(ask.piece, { has: (index) => index >= first && index < first + count })
  strategy.done(ask)
}

test('the unit that the fewest members have is asked for first', () => {
  const { strategy } = make(2)
  for (const id of ['a', 'b', 'c']) strategy.join(id, { givesUnits: true })
  for (const id of ['a', 'b', 'c']) strategy.has(id, 0, 'all')
  strategy.has('a', 1, some(5))
  expect(strategy.next('a')).toMatchObject({ piece: 1, first: 5, count: 1, bytes: BLOCK })
})

test('no unit is asked of two members while there are others', () => {
  const { strategy } = make(1)
  const asked: number[] = []
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) {
    strategy.join(id, { givesUnits: true })
    strategy.has(id, 0, 'all')
    asked.push(...all(strategy, id).map(({ first }) => first))
  }
  expect(asked.toSorted((x, y) => x - y)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(strategy.open).toBe(0)
  expect(strategy.missing).toBe(8)
})

test('of equals, a piece that was begun goes first', () => {
  const { strategy } = make(50)
  for (const id of ['a', 'b']) {
    strategy.join(id, { givesUnits: true })
    for (let piece = 0; piece < 50; piece++) strategy.has(id, piece, 'all')
  }
  strategy.got(31, some(0, 1, 2))
  expect(strategy.next('a')).toMatchObject({ piece: 31 })
})

test('of what only one member has, hosts that began the same piece ask for different units', () => {
  const { strategy } = make(50)
  strategy.join('a', { givesUnits: true })
  for (let piece = 0; piece < 50; piece++) strategy.has('a', piece, 'all')
  strategy.got(31, some(0, 1, 2))
  const asked = new Set<number>()
  for (let host = 0; host < 20; host++) {
    const ask = strategy.next('a')
    if (ask === undefined) throw new Error('nothing was asked')
    asked.add(ask.piece)
    strategy.failed(ask)
  }
  expect(asked.size).toBeGreaterThan(5)
})

test('units can be told by their number over the whole task, and runs of them', () => {
  const { strategy } = make(2)
  strategy.join('a', { givesUnits: true })
  strategy.hasUnits('a', [8 + 3])
  strategy.gotRun({ piece: 0, first: 7, count: 1 })
  expect(strategy.missing).toBe(15)
  expect(all(strategy, 'a')).toMatchObject([{ piece: 1, first: 3, count: 1 }])
  strategy.gotRun({ piece: 0, first: 0, count: 8 })
  expect(strategy.missing).toBe(8)
})

test('who reads along gets the first missing unit, whatever is rare', () => {
  const { strategy } = make(3, { inOrder: () => true })
  strategy.join('a', { givesUnits: true })
  for (const piece of [2, 1, 0]) strategy.has('a', piece, 'all')
  strategy.got(0, some(0))
  expect(all(strategy, 'a').map(({ piece, first }) => [piece, first])).toEqual([[0, 1]])
})

test('a member is asked for more at once, in longer runs, the faster it gives', () => {
  const { strategy, clock } = make(400)
  strategy.join('a', { givesUnits: true })
  for (let piece = 0; piece < 400; piece++) strategy.has('a', piece, 'all')
  let asks = all(strategy, 'a')
  expect(asks).toHaveLength(1)
  for (let round = 0; round < 100; round++) {
    for (const ask of asks) bring(strategy, ask, clock, 0.4 * ask.count)
    asks = all(strategy, 'a')
  }
  expect(asks.length).toBeGreaterThanOrEqual(4)
  expect(Math.max(...asks.map(({ count }) => count))).toBe(8)
})

test('a member two of whose answers are found at the same moment does not count as fast', () => {
  const { strategy, clock } = make(50)
  strategy.join('a', { givesUnits: true })
  for (let piece = 0; piece < 50; piece++) strategy.has('a', piece, 'all')
  for (let round = 0; round < 10; round++) {
    const [ask] = all(strategy, 'a')
    if (ask === undefined) throw new Error('nothing was asked for')
    clock.ms += 400
    strategy.nearly(ask)
    const [next] = all(strategy, 'a')
    if (next === undefined) throw new Error('nothing more was asked for')
    bring(strategy, ask, clock, 200)
    bring(strategy, next, clock, 0.1)
  }
  expect(all(strategy, 'a')).toMatchObject([{ count: 1 }])
})

test('a slow member holds one unit', () => {
  const { strategy, clock } = make(40)
  strategy.join('a', { givesUnits: true })
  for (let piece = 0; piece < 40; piece++) strategy.has('a', piece, 'all')
  for (let round = 0; round < 5; round++) for (const ask of all(strategy, 'a')) bring(strategy, ask, clock, 200)
  expect(all(strategy, 'a')).toHaveLength(1)
})

test('who has nearly given what it was asked for is asked for one more, and for no other until that has come', () => {
  const { strategy, clock } = make(2)
  strategy.join('a', { givesUnits: true })
  strategy.has('a', 0, 'all')
  const [first] = all(strategy, 'a')
  if (first === undefined) throw new Error('nothing was asked')
  strategy.nearly(first)
  const [second, ...others] = all(strategy, 'a')
  expect(second).toBeDefined()
  expect(others).toEqual([])
  if (second !== undefined) strategy.nearly(second)
  expect(all(strategy, 'a')).toEqual([])
  bring(strategy, first, clock, 1000)
  expect(all(strategy, 'a')).toHaveLength(1)
})

test('what a member did not give is asked of another one', () => {
  const { strategy } = make(1)
  strategy.join('a', { givesUnits: true })
  strategy.join('b', { givesUnits: true })
  strategy.has('a', 0, some(3))
  const [ask] = all(strategy, 'a')
  if (ask === undefined) throw new Error('nothing was asked')
  strategy.has('b', 0, some(3))
  expect(strategy.next('b')).toBeUndefined()
  strategy.failed(ask)
  expect(strategy.next('b')).toMatchObject({ piece: 0, first: 3 })
})

test('what was asked of a member that left is open again, and it counts for nothing any more', () => {
  const { strategy } = make(2)
  for (const id of ['a', 'b', 'c']) strategy.join(id, { givesUnits: true })
  strategy.has('a', 0, 'all')
  expect(all(strategy, 'a')).toHaveLength(1)
  strategy.leave('a')
  expect(strategy.open).toBe(16)
  for (const id of ['b', 'c']) strategy.has(id, 1, 'all')
  strategy.has('b', 0, some(0))
  expect(strategy.next('b')).toMatchObject({ piece: 0, first: 0 })
})

test('a silent member keeps what it was asked for, and others are asked for it, too; who is late is called off', () => {
  const { strategy, clock } = make(1)
  for (const id of ['a', 'b']) strategy.join(id, { givesUnits: true })
  strategy.has('a', 0, some(0))
  strategy.has('b', 0, some(0))
  const asks = all(strategy, 'a')
  strategy.stalled('a')
  expect(strategy.next('a')).toBeUndefined()
  const [again] = all(strategy, 'b')
  if (again === undefined) throw new Error('nobody else was asked')
  bring(strategy, again, clock, 10)
  const needless = strategy.needless()
  expect(needless).toEqual([asks.find(({ first }) => first === again.first)])
  for (const ask of needless) strategy.failed(ask)
  expect(strategy.needless()).toEqual([])
  expect(strategy.missing).toBe(7)
  strategy.revived('a')
  strategy.has('a', 0, 'all')
  expect(strategy.next('a')).toBeDefined()
})

test('what was asked of a member that is silent twice does not get lost', () => {
  const { strategy, clock, held } = fastOnce()
  const [next] = held
  if (next === undefined) throw new Error('nothing was asked for')
  strategy.stalled('a')
  strategy.revived('a')
  bring(strategy, next, clock, 10)
  strategy.stalled('a')
  for (const ask of [...held, ...all(strategy, 'b')]) strategy.failed(ask)
  strategy.leave('a')
  for (let ask = strategy.next('b'); ask !== undefined; ask = strategy.next('b')) bring(strategy, ask, clock, 10)
  expect(strategy.complete).toBe(true)
})

test('who was silent, and is waited for no more, is asked again', () => {
  const { strategy } = make(1)
  strategy.join('a', { givesUnits: true })
  strategy.has('a', 0, 'all')
  const [late] = all(strategy, 'a')
  if (late === undefined) throw new Error('nothing was asked')
  strategy.stalled('a')
  strategy.failed(late)
  expect(all(strategy, 'a')).toHaveLength(1)
})

/** Two that have everything; the first answered once, fast, and was asked for more. */
function fastOnce() {
  const { strategy, clock } = make(2)
  for (const id of ['a', 'b']) {
    strategy.join(id, { givesUnits: true })
    for (const piece of [0, 1]) strategy.has(id, piece, 'all')
  }
  const [first] = all(strategy, 'a')
  if (first === undefined) throw new Error('nothing was asked for')
  bring(strategy, first, clock, 20)
  return { strategy, clock, held: all(strategy, 'a') }
}

test('who was fast and then takes far too long keeps what it was asked for, and others are asked for it, too', () => {
  const { strategy, clock, held } = fastOnce()
  const units = held.reduce((sum, { count }) => sum + count, 0)
  const open = strategy.open
  clock.ms += 1900
  strategy.leaveOverdue()
  expect(strategy.open).toBe(open)
  clock.ms += 200
  strategy.leaveOverdue()
  expect(strategy.open).toBe(open + units)
  expect(strategy.next('a')).toBeUndefined()
})

test('at the end others are asked for what takes far longer than its member took before', () => {
  const { strategy, clock, held } = fastOnce()
  for (let ask = strategy.next('b'); ask !== undefined && strategy.open > 0; ask = strategy.next('b'))
    bring(strategy, ask, clock, 20)
  for (const ask of all(strategy, 'b')) bring(strategy, ask, clock, 20)
  const isHeld = (ask: Ask): boolean => held.some(({ piece, first }) => piece === ask.piece && first === ask.first)
  clock.ms += 700
  expect(all(strategy, 'b').some(isHeld)).toBe(true)
})

test('at the end a clearly faster member is asked for what a slow one was asked for, once', () => {
  const { strategy, clock } = make(1)
  for (const id of ['slow', 'fast', 'other']) strategy.join(id, { givesUnits: true })
  strategy.has('slow', 0, 'all')
  for (const ask of all(strategy, 'slow')) bring(strategy, ask, clock, 1000)
  expect(all(strategy, 'slow')).toHaveLength(1)
  for (const id of ['fast', 'other']) strategy.has(id, 0, 'all')
  for (let turn = 0; strategy.open > 0; turn++) {
    const ask = strategy.next(turn % 2 === 0 ? 'fast' : 'other')
    if (ask !== undefined) bring(strategy, ask, clock, 20)
  }
  expect(strategy.missing).toBe(1)
  const hedges = [...all(strategy, 'fast'), ...all(strategy, 'other')]
  expect(hedges).toHaveLength(1)
  const [hedge] = hedges
  if (hedge === undefined) throw new Error('nobody was asked')
  bring(strategy, hedge, clock, 5)
  expect(strategy.needless()).toMatchObject([{ member: 'slow' }])
  expect(strategy.complete).toBe(true)
})

test('at the end nobody else is asked for what is about to come from a slow member', () => {
  const { strategy, clock } = make(1)
  for (const id of ['slow', 'fast']) strategy.join(id, { givesUnits: true })
  strategy.has('slow', 0, 'all')
  for (const ask of all(strategy, 'slow')) bring(strategy, ask, clock, 1000)
  const [last] = all(strategy, 'slow')
  strategy.has('fast', 0, 'all')
  while (strategy.missing > 1) for (const ask of all(strategy, 'fast')) bring(strategy, ask, clock, 157)
  // 58 ms are left of 1000, and the fast one would take 157.
  expect(all(strategy, 'fast')).toEqual([])
  clock.ms += 500
  expect(all(strategy, 'fast')).toMatchObject([{ first: last?.first }])
})

test('what somebody else has brought is not called off as long as its member is to bring more on the same connection', () => {
  const { strategy, clock, held } = fastOnce()
  const [one, ...others] = held
  if (one === undefined || others.length === 0) throw new Error('too little was asked for')
  strategy.stalled('a')
  for (const ask of [one, ...others]) {
    expect(strategy.needless()).toEqual([])
    for (let unit = ask.first; unit < ask.first + ask.count; unit++) strategy.got(ask.piece, some(unit))
    const again = strategy.next('b')
    if (again !== undefined) bring(strategy, again, clock, 10)
  }
})

test('who wins at the end is not called off, though what it brought is here before it is said to be done', () => {
  const { strategy, clock } = make(1)
  for (const id of ['late', 'fast']) {
    strategy.join(id, { givesUnits: true })
    strategy.has(id, 0, some(0))
  }
  const [late] = all(strategy, 'late')
  strategy.stalled('late')
  const [fast] = all(strategy, 'fast')
  if (late === undefined || fast === undefined) throw new Error('nobody was asked')
  strategy.gotRun(fast)
  expect(strategy.needless()).toEqual([])
  strategy.done(fast)
  expect(strategy.needless()).toEqual([late])
  strategy.failed(late)

  // The other way round: the silent one wakes up, and wins.
  strategy.has('late', 0, some(1))
  strategy.has('fast', 0, some(1))
  const [first] = all(strategy, 'late')
  strategy.stalled('late')
  const [second] = all(strategy, 'fast')
  if (first === undefined || second === undefined) throw new Error('nobody was asked')
  clock.ms += 10
  strategy.gotRun(first)
  expect(strategy.needless()).toEqual([])
  strategy.done(first)
  expect(strategy.needless()).toEqual([second])
})

test('a member far on in a long task is asked for the little that it has', () => {
  const { strategy } = make(5000)
  strategy.join('a', { givesUnits: true })
  strategy.has('a', 4321, some(6))
  strategy.has('a', 12, some(1))
  const asked = [strategy.next('a'), strategy.next('a')]
  expect(asked).toMatchObject([{ count: 1 }, undefined])
  for (const ask of asked) if (ask !== undefined) strategy.done(ask)
  expect(strategy.next('a')).toBeDefined()
})

test('who gives whole pieces only is asked for pieces of which nothing is here, first', () => {
  const { strategy } = make(2)
  strategy.join('stock', { givesUnits: false })
  strategy.has('stock', 0, 'all')
  strategy.has('stock', 1, 'all')
  strategy.got(0, some(0))
  expect(strategy.next('stock')).toMatchObject({ piece: 1, first: 0, count: 8 })
})

test('who gives whole pieces only is asked for a begun one when nothing else is left', () => {
  const { strategy } = make(1)
  strategy.join('stock', { givesUnits: false })
  strategy.has('stock', 0, 'all')
  strategy.got(0, some(0))
  expect(strategy.next('stock')).toMatchObject({ piece: 0, first: 0, count: 8, bytes: PIECE })
})

test('only wanted pieces are asked for, and others as soon as they are wanted', () => {
  const { strategy } = make(4)
  strategy.join('a', { givesUnits: true })
  strategy.want(2, 2)
  for (let piece = 0; piece < 4; piece++) strategy.has('a', piece, 'all')
  expect(strategy.missing).toBe(8)
  expect(all(strategy, 'a').map(({ piece }) => piece)).toEqual([2])
  strategy.got(2, 'all')
  expect(strategy.complete).toBe(true)
  strategy.want(0, undefined)
  expect(strategy.missing).toBe(24)
  expect(strategy.complete).toBe(false)
})

test('without a content length what members tell of is asked for, and nothing is complete until the length is known', () => {
  const { strategy, clock } = make(undefined)
  strategy.join('a', { givesUnits: true })
  expect(strategy.complete).toBe(false)
  strategy.has('a', 0, 'all')
  while (strategy.missing > 0) for (const ask of all(strategy, 'a')) bring(strategy, ask, clock, 1)
  expect(strategy.complete).toBe(false)
  strategy.setContentLength(PIECE + 1)
  expect(strategy.missing).toBe(1)
  strategy.has('a', 1, 'all')
  const [last] = all(strategy, 'a')
  expect(last).toMatchObject({ piece: 1, first: 0, count: 1, bytes: 1 })
  if (last !== undefined) bring(strategy, last, clock, 1)
  expect(strategy.complete).toBe(true)
})

test('a member that does not have a piece after all is not asked for it', () => {
  const { strategy } = make(1)
  strategy.join('a', { givesUnits: true })
  strategy.has('a', 0, 'all')
  strategy.hasNot('a', 0)
  expect(strategy.canGive('a')).toBe(false)
  expect(strategy.next('a')).toBeUndefined()
})
