import { expect, test } from 'vitest'
import { MoreConnections } from './more-connections.ts'

const MiB = 2 ** 20

/** Bytes per millisecond of so many connections, and of the last one for so long. */
type Rate = (connections: number, sinceMs: number) => number

/** Reads from an origin in virtual time: how many connections there were in the end, and the most. */
function read(bytes: number, rate: Rate, most = 4): { last: number; most: number } {
  const policy = new MoreConnections(most)
  let [connections, peak, done, addedMs] = [1, 1, 0, 0]
  for (let nowMs = 0; done < bytes && nowMs < 1e6; nowMs += 250) {
    done += rate(connections, nowMs - addedMs) * 250
    const word = policy.look({ nowMs, bytes: done, leftBytes: Math.max(bytes - done, 0) })
    if (word === 'add') connections++
    if (word === 'add') addedMs = nowMs
    if (word === 'drop') connections--
    peak = Math.max(peak, connections)
  }
  return { last: connections, most: peak }
}

const perSecond = (bytes: number): number => bytes / 1000

test('an origin that holds back each connection is read over several, up to the most', () => {
  expect(read(1024 * MiB, (n) => n * perSecond(10 * MiB))).toEqual({ last: 4, most: 4 })
  expect(read(1024 * MiB, (n) => n * perSecond(10 * MiB), 2)).toEqual({ last: 2, most: 2 })
  expect(read(1024 * MiB, (n) => n * perSecond(10 * MiB), 1)).toEqual({ last: 1, most: 1 })
})

test('a link that is full is tried once, and then read over one connection to the end', () => {
  expect(read(1024 * MiB, () => perSecond(10 * MiB))).toEqual({ last: 1, most: 2 })
  let tries = 0
  read(10_240 * MiB, (n) => {
    if (n === 2) tries++
    return perSecond(10 * MiB)
  })
  expect(tries * 250).toBeLessThan(3000)
})

test('the one that adds no more than a fifth goes, the others stay', () => {
  const full = (n: number): number => Math.min(n * perSecond(10 * MiB), perSecond(22 * MiB))
  expect(read(1024 * MiB, full)).toEqual({ last: 2, most: 3 })
})

test('a fast origin, a small rest, and what is over soon are not worth another one', () => {
  expect(read(10_240 * MiB, (n) => n * perSecond(800 * MiB)).most).toBe(1)
  expect(read(64 * MiB, (n) => n * perSecond(2 * MiB)).most).toBe(1)
  expect(read(256 * MiB, (n) => n * perSecond(25 * MiB)).most).toBe(1)
})

test('an origin that is silent is not asked for more', () => {
  expect(read(1024 * MiB, (_, sinceMs) => (sinceMs < 500_000 ? 0 : perSecond(1000 * MiB))).most).toBe(1)
})

test('the slow start of a connection does not count', () => {
  const full: Rate = (n, sinceMs) => perSecond(n === 1 && sinceMs <= 500 ? MiB : 10 * MiB)
  expect(read(1024 * MiB, full).last).toBe(1)
})
