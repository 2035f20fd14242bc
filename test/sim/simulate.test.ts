import { expect, test } from 'vitest'
import { type Outcome, simulate } from '../../sim/net.ts'
import { optionsOf, type SimOptions } from '../../sim/options.ts'
import { boundMs, figuresOf } from '../../sim/report.ts'
import { drawProgress } from '../../sim/svg.ts'

const MiB = 2 ** 20
const BLOCK = 512 * 1024

/** A swarm in which all goes wrong that can: it joins late, leaves early, and lies in two places. */
const TROUBLED: Partial<SimOptions> = {
  peers: 40,
  fileBytes: 130 * MiB + 12_345,
  leave: 0.15,
  joinOverMs: 5000,
  twoSites: true,
  crossRate: 60 * MiB,
}

function run(changes: Partial<SimOptions>): Promise<Outcome> {
  return simulate(optionsOf(changes))
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0)
}

for (const [grain, unitLength] of [
  ['blocks', BLOCK],
  ['coarser', 4 * MiB],
] as const) {
  test(`one seed gives one result, byte for byte, and another seed another one (${grain})`, async () => {
    const told = async (seed: number): Promise<string> => {
      const outcome = await run({ ...TROUBLED, unitLength, seed })
      return JSON.stringify([outcome, figuresOf(outcome)]) + drawProgress(outcome)
    }
    const first = await told(7)
    expect(await told(7)).toBe(first)
    expect(await told(8)).not.toBe(first)
  })

  test(`what is sent is received, or lost with who left (${grain})`, async () => {
    const calm = await run({ peers: 20, fileBytes: 100 * MiB + 1, unitLength })
    const sent = (outcome: Outcome): number =>
      outcome.originBytes + outcome.seed.sentBytes + sum(outcome.peers.map(({ sentBytes }) => sentBytes))
    const received = (outcome: Outcome): number =>
      outcome.seed.receivedBytes + sum(outcome.peers.map(({ receivedBytes }) => receivedBytes))
    // What was called off at the end, when somebody else was faster, is all that may be lost or come twice.
    const file = calm.options.fileBytes
    expect(sent(calm)).toBeGreaterThanOrEqual(received(calm) + calm.lostBytes)
    expect(sent(calm)).toBeLessThan(21 * file + 20 * 16 * unitLength)
    expect(received(calm)).toBeGreaterThanOrEqual(21 * file)

    const troubled = await run({ ...TROUBLED, unitLength })
    const underWay = sent(troubled) - received(troubled) - troubled.lostBytes
    expect(troubled.lostBytes).toBeGreaterThan(0)
    expect(underWay).toBeGreaterThanOrEqual(0)
    // Only what was still on its way to somebody who left when the last one was done.
    expect(underWay).toBeLessThanOrEqual(troubled.options.fileBytes)
  })

  test(`who stays gets every piece, though others leave, and none of them from thin air (${grain})`, async () => {
    const outcome = await run({ ...TROUBLED, unitLength })
    const { options, peers } = outcome
    const pieces = Math.ceil(options.fileBytes / options.pieceLength)
    expect(peers.filter(({ left }) => left)).toHaveLength(6)
    for (const { left, doneAtMs, joinedAtMs, pieces: held, receivedBytes } of peers) {
      if (left) continue
      expect(held).toBe(pieces)
      expect(doneAtMs).toBeGreaterThan(joinedAtMs)
      expect(receivedBytes).toBeGreaterThanOrEqual(options.fileBytes)
    }
    expect(figuresOf(outcome).unfinished).toBe(0)
  })
}

test('no link passes more than its rate, and one block', async () => {
  const outcome = await run({ ...TROUBLED, crossRate: 8 * MiB, peerUpRate: 5 * MiB, peerDownRate: 11 * MiB })
  const { options, endedAtMs, crossBytes, peers, seed } = outcome
  const most = (rate: number, fromMs = 0): number => ((endedAtMs - fromMs) / 1000) * rate + 1.01 * BLOCK
  // What leaves is counted when it is queued: what is being sent.
  const queued = 8 * BLOCK
  expect(seed.sentBytes).toBeLessThan(most(options.seedRate) + queued)
  expect(Math.max(...crossBytes)).toBeLessThan(most(options.crossRate) + queued)
  for (const { receivedBytes, joinedAtMs } of peers) {
    expect(receivedBytes).toBeLessThan(most(options.peerDownRate, joinedAtMs) + queued / options.peers)
  }
  // And so nobody is done before the bound, nor sooner than the own link allows.
  const soonest = (options.fileBytes / options.peerDownRate) * 1000
  for (const { doneAtMs, joinedAtMs, left } of peers) {
    if (!left && doneAtMs !== undefined) expect(doneAtMs - joinedAtMs).toBeGreaterThan(soonest)
  }
})

test('the origin is read once, by the seed, however many ask and whoever leaves', async () => {
  for (const changes of [{ peers: 60, fileBytes: 64 * MiB }, TROUBLED]) {
    const outcome = await run(changes)
    expect(outcome.originBytes).toBe(outcome.options.fileBytes)
    expect(outcome.seed.readSource).toBe(true)
    expect(outcome.peers.filter(({ readSource }) => readSource)).toEqual([])
  }
})

test('one peer alone comes within a twentieth of the bound, and never below it', async () => {
  const outcome = await run({ peers: 1, fileBytes: 512 * MiB })
  const { efficiencyP50 } = figuresOf(outcome)
  expect(efficiencyP50).toBeGreaterThan(0.95)
  expect(efficiencyP50).toBeLessThanOrEqual(1)
})

test('a hundred peers need little more time than one, and the seed sends the file little more than once', async () => {
  const one = figuresOf(await run({ peers: 1, fileBytes: 256 * MiB }))
  const hundred = figuresOf(await run({ peers: 100, fileBytes: 256 * MiB }))
  expect(hundred.p50Ms / one.p50Ms).toBeLessThan(1.25)
  expect(hundred.seedCopies).toBeLessThan(1.2)
})

test('the bound is the slowest of seed, taker, all uploads and the trunk', () => {
  const base = { fileBytes: 100 * MiB, peers: 9, seedRate: 10 * MiB, peerUpRate: 50 * MiB, peerDownRate: 50 * MiB }
  const bound = (changes: Partial<SimOptions>): number => boundMs(optionsOf({ ...base, ...changes }))
  expect(bound({})).toBe(10_000)
  expect(bound({ peerDownRate: 5 * MiB })).toBe(20_000)
  expect(bound({ peerUpRate: 0 })).toBe(10_000)
  // 9 copies over 10 + 9 × 1 MiB/s
  expect(bound({ peerUpRate: MiB })).toBeCloseTo((900 / 19) * 1000, 6)
  expect(bound({ twoSites: true, crossRate: MiB })).toBe(100_000)
})

test('the drawing has a line for each peer and the bound', async () => {
  const svg = drawProgress(await run({ ...TROUBLED, peers: 25, leave: 0.2 }))
  expect(svg.match(/class="peer"/g)).toHaveLength(20)
  expect(svg.match(/class="left"/g)).toHaveLength(5)
  expect(svg).toContain('bound')
  expect(svg).not.toContain('NaN')
})

test('the model of a round is as fast as the round of the daemon itself, on the mean of several seeds', async () => {
  const means = async (round: SimOptions['round']): Promise<{ p50Ms: number; seedCopies: number }> => {
    const seeds = [1, 2, 3, 4, 5, 6]
    const all: ReturnType<typeof figuresOf>[] = []
    for (const seed of seeds) all.push(figuresOf(await run({ peers: 12, fileBytes: 128 * MiB, round, seed })))
    const mean = (key: 'p50Ms' | 'seedCopies'): number => sum(all.map((figures) => figures[key])) / seeds.length
    return { p50Ms: mean('p50Ms'), seedCopies: mean('seedCopies') }
  }
  const [model, real] = [await means('model'), await means('real')]
  for (const key of ['p50Ms', 'seedCopies'] as const) {
    expect(model[key] / real[key], key).toBeGreaterThan(0.93)
    expect(model[key] / real[key], key).toBeLessThan(1.07)
  }
})

test('the round of the daemon itself brings every piece to who stays, and is the same for one seed', async () => {
  const changes: Partial<SimOptions> = { ...TROUBLED, peers: 12, fileBytes: 60 * MiB, round: 'real' }
  const [first, again] = [await run(changes), await run(changes)]
  expect(JSON.stringify(again)).toBe(JSON.stringify(first))
  expect(figuresOf(first)).toMatchObject({ unfinished: 0, stayed: 10 })
  expect(first.originBytes).toBe(first.options.fileBytes)
})
