import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BROKEN_PLUGINS } from './broken-plugins.ts'

const guide = await readFile(join(import.meta.dirname, '../../docs/plugins.md'), 'utf8')

test('the guide names the reason of every failure that can be foreseen', () => {
  const table = guide.slice(guide.indexOf('| reason | what to do |'))
  const cells = [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`(.+?)`/g)])
  const known = cells.map(([, words = '']) => words.split(/KEY|…|10 s/).map((part) => part.trim()))
  const unknown = BROKEN_PLUGINS.map(([, , reason]) => reason).filter(
    (reason) => !known.some((parts) => parts.every((part) => reason.includes(part))),
  )
  expect(unknown).toEqual([])
})
