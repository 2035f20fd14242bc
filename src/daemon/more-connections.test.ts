import { expect, test } from 'vitest'
import { type Glance, MoreConnections } from './more-connections.ts'

const MiB = 2 ** 20
const TICK_MS = 50

/** Bytes per millisecond of so many connections, and of the last one for so long. */
type Rate = (connections: number, sinceMs: number) => number

interface Reading {
  /** Connections in the end, before the rest is too little for many. */
  readonly last: number
  readonly most: number
  readonly requests: number
  readonly ms: number
}

/** Reads from an origin in virtual time; each connection asks for a stretch, and for the next one when that has come. */
function read(bytes: number, rate: Rate, policy: MoreConnections | number = 4): Reading {
  const decides = typeof policy === 'number' ? new MoreConnections(policy) : policy
  const streams = [64 * MiB]
  let [left, done, nowMs, changedMs, requests, last, most] = [bytes - 64 * MiB, 0, 0, 0, 1, 1, 1]
  const glance = (): Glance => ({ nowMs, bytes: done, leftBytes: left })
  decides.begin(glance())
  for (; streams.length > 0 && nowMs < 2e6; nowMs += TICK_MS) {
    const share = (rate(streams.length, nowMs - changedMs) * TICK_MS) / streams.length
    const before = streams.length
    for (const [index, rest] of [...streams.entries()].reverse()) {
      done += Math.min(share, rest)
      if (rest <= share) streams.splice(index, 1)
      else streams[index] = rest - share
    }
    if (nowMs % 250 === 0) decides.look(glance())
    while (streams.length < decides.connections && left > 0) {
      const next = Math.min(Math.max(decides.stretchBytes(glance()), MiB), left)
      left -= next
      requests++
      streams.push(next)
    }
    if (streams.length > before) changedMs = nowMs
    most = Math.max(most, streams.length)
    last = decides.connections
  }
  expect(done).toBeCloseTo(bytes, -2)
  return { last, most, requests, ms: nowMs }
}

const perSecond = (bytes: number): number => bytes / 1000

test('an origin that holds back each connection is read over several, up to the most', () => {
  const each: Rate = (n) => n * perSecond(10 * MiB)
  expect(read(1024 * MiB, each)).toMatchObject({ last: 4, most: 4 })
  expect(read(1024 * MiB, each, 2)).toMatchObject({ last: 2, most: 2 })
  expect(read(1024 * MiB, each, 1)).toMatchObject({ last: 1, most: 1, requests: 2 })
  const alone = 102_400
  expect(read(1024 * MiB, each).ms).toBeLessThan(alone / 2.8) // 4.5 s until there are four, and a second at the end
})

test('a link that is full is tried once, and then read over one connection to the end', () => {
  const link: Rate = () => perSecond(10 * MiB)
  const reading = read(1024 * MiB, link)
  expect(reading).toMatchObject({ last: 1, most: 2, requests: 3 })
  expect(read(10_240 * MiB, link)).toMatchObject({ last: 1, most: 2, requests: 3 })
})

test('the one that adds no more than a fifth goes, the others stay', () => {
  const full: Rate = (n) => Math.min(n * perSecond(10 * MiB), perSecond(22 * MiB))
  expect(read(1024 * MiB, full)).toMatchObject({ last: 2, most: 3 })
})

test('a fast origin, a small rest, and what is over soon are not worth another one', () => {
  expect(read(10_240 * MiB, (n) => n * perSecond(800 * MiB))).toMatchObject({ most: 1 })
  expect(read(1024 * MiB, (n) => n * perSecond(800 * MiB))).toMatchObject({ most: 1, requests: 2 })
  expect(read(120 * MiB, (n) => n * perSecond(2 * MiB))).toMatchObject({ most: 1 })
  expect(read(256 * MiB, (n) => n * perSecond(25 * MiB))).toMatchObject({ most: 1 })
})

test('an origin that is silent is not asked for more', () => {
  const policy = new MoreConnections(4)
  policy.begin({ nowMs: 0, bytes: 0, leftBytes: 1024 * MiB })
  for (let nowMs = 0; nowMs < 500_000; nowMs += 250) policy.look({ nowMs, bytes: 1000, leftBytes: 1024 * MiB })
  expect(policy.connections).toBe(1)
})

test('the slow start of a connection does not count', () => {
  const full: Rate = (n, sinceMs) => perSecond(n === 1 && sinceMs <= 500 ? MiB : 10 * MiB)
  expect(read(1024 * MiB, full).last).toBe(1)
})

test('what one request asks for lasts some seconds, less when the end is near, and is never nothing', () => {
  const policy = new MoreConnections(4)
  policy.begin({ nowMs: 0, bytes: 0, leftBytes: 10_000 * MiB })
  const at = (leftBytes: number, nowMs = 1000): number => policy.stretchBytes({ nowMs, bytes: 10 * MiB, leftBytes })
  expect(at(10_000 * MiB)).toBe(50 * MiB)
  expect(at(80 * MiB)).toBe(80 * MiB)
  expect(at(10_000 * MiB, 1e6)).toBeGreaterThanOrEqual(4 * MiB)
})

test('an origin that refuses one gets one less, no other try, and no two at once where there is one', () => {
  const policy = new MoreConnections(4)
  const each: Rate = (n) => n * perSecond(10 * MiB)
  expect(read(1024 * MiB, each, policy).last).toBe(4)
  policy.refused()
  expect(policy.connections).toBe(3)
  expect(policy.aheadBytes({ nowMs: 1, bytes: MiB, leftBytes: MiB })).toBe(0)
  for (let n = 0; n < 5; n++) policy.refused()
  expect(read(1024 * MiB, each, policy)).toMatchObject({ last: 1, most: 1, requests: 2 })
})
