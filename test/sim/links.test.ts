import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Clock } from '../../sim/clock.ts'
import { Connection } from '../../sim/connection.ts'
import { Machine, type Site, Wires } from '../../sim/links.ts'

const MiB = 2 ** 20
const BLOCK_BYTES = 512 * 1024

interface Arrival {
  readonly atMs: number
  readonly bytes: number
}

/** All of these at once, each on its own: when which bytes arrived. */
async function move(
  givers: readonly Machine[],
  takers: readonly Machine[],
  bytes: number,
  crossRate = 0,
): Promise<Arrival[]> {
  const clock = new Clock()
  const wires = new Wires({ latencyMs: 1, crossLatencyMs: 10, crossRate })
  const arrivals: Arrival[] = []
  for (const from of givers) {
    for (const to of takers) {
      const arrived = (block: number): void => {
        arrivals.push({ atMs: clock.now(), bytes: block })
      }
      const talk = { asked: () => undefined, sent: () => undefined, arrived, broken: () => undefined }
      const connection = new Connection<number>({ from, to }, talk, clock, wires)
      for (let asked = 0; asked < bytes; asked += BLOCK_BYTES) connection.ask(BLOCK_BYTES, BLOCK_BYTES)
    }
  }
  await clock.run(() => false, Number.MAX_SAFE_INTEGER)
  return arrivals
}

function machine(site: Site, up: number, down: number): Machine {
  return new Machine('m', site, { up, down })
}

/** No window of time, from one arrival to another, has more bytes than the rate allows, and one block. */
function staysWithin(arrivals: readonly Arrival[], bytesPerSecond: number): void {
  for (const [first, { atMs: fromMs }] of arrivals.entries()) {
    let bytes = 0
    for (const arrival of arrivals.slice(first)) {
      bytes += arrival.bytes
      expect(bytes).toBeLessThanOrEqual(((arrival.atMs - fromMs) / 1000) * bytesPerSecond + BLOCK_BYTES + 1)
    }
  }
}

test.each([
  ['the giver', [machine('a', 3 * MiB, 0)], [machine('a', 0, 0), machine('a', 0, 50 * MiB)], 0],
  ['the taker', [machine('a', 0, 0), machine('a', 50 * MiB, 0)], [machine('a', 0, 3 * MiB)], 0],
  ['the trunk', [machine('a', 0, 0), machine('a', 9 * MiB, 0)], [machine('b', 0, 0), machine('b', 0, 0)], 3 * MiB],
])('bytes arrive at the rate of %s, no faster and no slower', async (_who, givers, takers, crossRate) => {
  const arrivals = await move(givers, takers, 6 * MiB, crossRate)
  staysWithin(arrivals, 3 * MiB)
  const bytes = givers.length * takers.length * 6 * MiB
  expect(arrivals.reduce((sum, arrival) => sum + arrival.bytes, 0)).toBe(bytes)
  const soonestMs = (bytes / (3 * MiB)) * 1000
  const lastAtMs = arrivals.at(-1)?.atMs ?? 0
  expect(lastAtMs).toBeGreaterThan(soonestMs * 0.95)
  expect(lastAtMs).toBeLessThan(soonestMs * 1.1 + 20)
})

test('those who share a link share it evenly', async () => {
  const takers = [machine('a', 0, 0), machine('a', 0, 0), machine('a', 0, 0)]
  const arrivals = await move([machine('a', 3 * MiB, 0)], takers, 4 * MiB)
  const lastOfEach = arrivals.slice(-3).map(({ atMs }) => atMs)
  expect(Math.max(...lastOfEach) - Math.min(...lastOfEach)).toBeLessThan(500)
})

test('what is asked for on a connection comes in that order; what was not sent yet is not, once it is closed', async () => {
  const clock = new Clock()
  const wires = new Wires({ latencyMs: 1, crossLatencyMs: 10, crossRate: 0 })
  const [from, to] = [machine('a', 10 * MiB, 0), machine('a', 0, 0)]
  const came: number[] = []
  const talk = {
    asked: () => undefined,
    sent: () => undefined,
    arrived: (number: number) => {
      came.push(number)
      if (number === 3) connection.close()
    },
    broken: () => undefined,
  }
  const connection = new Connection<number>({ from, to }, talk, clock, wires)
  for (let number = 0; number < 10; number++) connection.ask(number, BLOCK_BYTES)
  await clock.run(() => false, Number.MAX_SAFE_INTEGER)
  expect(came).toEqual([0, 1, 2, 3])
  // The next one was on its way.
  expect(from.up.bytes).toBe(5 * BLOCK_BYTES)
  expect(wires.lostBytes).toBe(BLOCK_BYTES)
})

test('happenings come in the order of their times, and of their asking', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 200 }), async (times) => {
      const clock = new Clock()
      const seen: [number, number][] = []
      for (const [index, atMs] of times.entries()) {
        clock.at(atMs, {
          fire() {
            expect(clock.now()).toBe(atMs)
            seen.push([atMs, index])
          },
        })
      }
      await clock.run(() => false, 1000)
      const sorted = times
        .map((atMs, index): [number, number] => [atMs, index])
        .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      expect(seen).toEqual(sorted)
    }),
  )
})
