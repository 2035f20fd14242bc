import { expect, test } from 'vitest'
import { tempDir } from '#devnet'
import { draw } from './plot.ts'
import { goalsHold, keepReport, keptReports, type Report, tableOf } from './report.ts'

const report: Report = {
  name: 'a',
  title: 'A title',
  columns: [{ heading: 'by' }, { heading: 'ms', digits: 0 }, { heading: 'ratio' }],
  rows: [
    ['curl', 100.4, 1],
    ['ours', 120, undefined],
  ],
  notes: [],
  goals: [],
  plots: [],
}

test('a table has its figures with their digits, and a dash where there is none', () => {
  expect(tableOf(report)).toBe('by     ms  ratio\ncurl  100   1.00\nours  120      –')
})

test('the same table in Markdown', () => {
  expect(tableOf(report, true).split('\n').slice(0, 3)).toEqual([
    '| by   |  ms | ratio |',
    '|------|----:|------:|',
    '| curl | 100 |  1.00 |',
  ])
})

test('a goal is held at its bar, and with slack so many times beyond it, whichever side it is on', () => {
  const most = { what: 'ms', value: 10, atMost: 10, unit: '' }
  const least = { what: 'share', value: 0.3, atLeast: 0.9, unit: '' }
  expect(goalsHold([most], 1)).toBe(true)
  expect(goalsHold([{ ...most, value: 10.1 }], 1)).toBe(false)
  expect(goalsHold([{ ...most, value: 30 }], 3)).toBe(true)
  expect(goalsHold([least], 1)).toBe(false)
  expect(goalsHold([least], 3)).toBe(true)
  expect(goalsHold([most, { ...least, value: 0.29 }], 3)).toBe(false)
})

test('a figure that is none meets no goal', () => {
  expect(goalsHold([{ what: 'ms', value: Number.NaN, atMost: 10, unit: '' }], 3)).toBe(false)
})

test('of reports that were kept, the last one of each name counts', async () => {
  await using dir = await tempDir('report')
  const file = dir.join('kept.jsonl')
  await keepReport(report, 'npm run bench -- a', file)
  await keepReport({ ...report, name: 'b' }, 'npm run bench -- b', file)
  await keepReport({ ...report, title: 'measured again' }, 'npm run bench -- a', file)
  const kept = await keptReports(file)
  expect(kept.map(({ name, title }) => [name, title])).toEqual([
    ['a', 'measured again'],
    ['b', 'A title'],
  ])
  expect(kept[0]).toMatchObject({
    rows: [
      ['curl', 100.4, 1],
      ['ours', 120, null],
    ],
  })
  expect(tableOf(kept[0] ?? report)).toContain('–')
})

test('a drawing follows from its data alone, and holds no text that is not escaped', () => {
  const bars = {
    kind: 'bars',
    unit: ' ×',
    bars: [{ name: 'a<b&"c"', value: 2, low: 1, high: 3 }, { name: 'none' }],
  } as const
  const svg = draw({ ...bars, mark: { value: 1, label: 'one' } }, 'a < b')
  expect(svg).toBe(draw({ ...bars, mark: { value: 1, label: 'one' } }, 'a < b'))
  expect(svg).toContain('a&lt;b&amp;&quot;c&quot;')
  expect(svg).toContain('no figure')
})

test.each([
  { kind: 'bars', unit: '', bars: [{ name: 'only', value: 0 }] },
  { kind: 'ladder', unit: ' ms', xNames: ['1 B'], lines: [{ name: 'only', values: [5] }] },
  { kind: 'course', seconds: 3, lines: [{ name: 'none', points: [] }], mark: { value: 1, label: 'bound' } },
] as const)('$kind with next to no data are drawn with numbers all the same', (plot) => {
  expect(draw(plot, 'title')).not.toMatch(/NaN|Infinity|undefined/)
})
