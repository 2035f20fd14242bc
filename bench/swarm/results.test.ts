import { expect, test } from 'vitest'
import { goalsHold } from '../report.ts'
import type { Lap } from './race.ts'
import { reportOf } from './results.ts'

const MiB = 2 ** 20
const facts = { peers: 8, fileBytes: 100 * MiB, bitsPerSecond: 200e6, boundMs: 4000 }
const lap = (makespanMs: number, more: Partial<Lap> = {}): Lap => ({
  makespanMs,
  eachMs: [makespanMs],
  seedSentBytes: 120 * MiB,
  seedCpuMs: 100,
  peersCpuMs: 800,
  otherCpuMs: 0,
  busy: 0.5,
  progress: [],
  outputs: [],
  ...more,
})

test('a contender is told by the medians of its laps', () => {
  const laps = [
    lap(8000, { originBytes: 100 * MiB }),
    lap(5000, { originBytes: 100 * MiB }),
    lap(4500, { originBytes: 100 * MiB }),
  ]
  const { rows, columns } = reportOf(facts, [{ name: 'dragonfly-ts', laps, failure: undefined }], [])
  const row = Object.fromEntries(columns.map(({ heading }, index) => [heading, rows[0]?.[index]]))
  expect(row).toMatchObject({
    laps: 3,
    'makespan s': 5,
    min: 4.5,
    max: 8,
    'bound / makespan': 0.8,
    'seed sent / file': 1.2,
  })
  expect(row).toMatchObject({ 'origin / file': 1, 'CPU s of one peer': 0.1, 'by its own count': undefined })
})

test('who finished no lap is told with the reason, and takes no part in the goals', () => {
  const results = [
    { name: 'dragonfly-ts', laps: [lap(5000)], failure: undefined },
    { name: 'aria2', laps: [], failure: 'unfinished after 60 s' },
  ]
  const { rows, notes, goals, plots } = reportOf(facts, results, [])
  expect(rows[1]).toEqual(['aria2', 0])
  expect(notes.join()).toContain('aria2: unfinished after 60 s')
  expect(goals.map(({ what }) => what).join()).not.toContain('best other')
  expect(JSON.stringify(plots)).toContain('unfinished')
})

test('if we finish no lap ourselves, no goal is met', () => {
  const { goals } = reportOf(facts, [{ name: 'dragonfly-ts', laps: [], failure: 'it broke' }], [])
  expect(goals.length).toBeGreaterThan(0)
  for (const goal of goals) expect(goalsHold([goal], 3), goal.what).toBe(false)
})

test('of 8 and 16 hosts something is asked: near the bound, and ahead of the best other one', () => {
  const results = [
    { name: 'dragonfly-ts', laps: [lap(5000)], failure: undefined },
    { name: 'aria2', laps: [lap(6000)], failure: undefined },
    { name: 'libtorrent', laps: [lap(8000)], failure: undefined },
  ]
  const { goals } = reportOf(facts, results, [])
  expect(goals.find(({ what }) => what.includes('bound / makespan'))).toMatchObject({ value: 0.8, atLeast: 0.88 })
  expect(goals.find(({ what }) => what.includes('best other'))).toMatchObject({
    value: expect.closeTo(1.2),
    atLeast: 1,
  })
  expect(reportOf({ ...facts, peers: 4 }, results, []).goals).toEqual([])
})
