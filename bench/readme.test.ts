import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { tempDir } from '#devnet'
import { writeReadme } from './readme.ts'
import type { KeptReport } from './report.ts'

const kept = (name: string, value: number): KeptReport => ({
  name,
  title: `Title of ${name}`,
  columns: [{ heading: 'by' }, { heading: 'ms' }],
  rows: [['curl', value]],
  notes: ['a note'],
  goals: [{ what: `goal of ${name}`, value, atMost: 1.25, unit: ' ×' }],
  plots: [],
  command: `npm run bench -- ${name}`,
  machine: 'a machine',
  at: '2026-01-01',
})

test('a page gets its figures at the places it has for them, again and again, and keeps the rest', async () => {
  await using dir = await tempDir('readme')
  const file = dir.join('README.md')
  await writeFile(file, 'Words.\n\n<!-- goals --><!-- /goals -->\n\n<!-- a -->\nold\n<!-- /a -->\nMore words.\n')
  expect(await writeReadme(file, [kept('a', 1), kept('b', 2)])).toEqual(['b'])
  const once = await readFile(file, 'utf8')
  expect(once).toContain('<!-- a -->\n\nTitle of a.\n`npm run bench -- a`, 2026-01-01, a machine.\n\n| by   |   ms |')
  expect(once).toContain('- a note\n\n<!-- /a -->\nMore words.')
  expect(once).not.toContain('old')
  expect(once).toMatch(/goal of a +\| +1 × \| +≤ 1.25 × \| +met/)
  expect(once).toMatch(/goal of b +\| +2 × \| +≤ 1.25 × \| +\*\*missed\*\*/)
  await writeReadme(file, [kept('a', 1), kept('b', 2)])
  expect(await readFile(file, 'utf8')).toBe(once)
})
