import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const PAGE = readFileSync(join(ROOT, 'docs/parity.md'), 'utf8')
const LINES = PAGE.split('\n')
/** Of the tables, without their heads. */
const ROWS = LINES.filter(
  (line, index) => line.startsWith('| ') && !line.startsWith('| ---') && !LINES[index + 1]?.startsWith('| ---'),
)

interface Shown {
  readonly file: string
  readonly name: string
}

/** `file` “name” “name” `file` “name”, in the last cell of a row. */
function shownIn(row: string): Shown[] {
  const shown: Shown[] = []
  let file = ''
  for (const [, path, name] of row.matchAll(/`([^`]+\.test\.ts)`|“([^”]+)”/g)) {
    if (path !== undefined) file = path
    else if (name !== undefined) shown.push({ file, name })
  }
  return shown
}

/** The name as the title of a test in the source; `…` stands for what a template or a table fills in. */
function titleOf(name: string): RegExp {
  const words = name.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`(['"\`])${words.join('[^\'"\\n]{1,40}')}\\1,`)
}

test('every test that docs/parity.md names exists', () => {
  const shown = ROWS.flatMap(shownIn)
  expect(shown.length).toBeGreaterThan(100)
  const sources = new Map<string, string>()
  const missing = shown.filter(({ file, name }) => {
    const path = join(ROOT, file)
    const source = sources.get(file) ?? (existsSync(path) ? readFileSync(path, 'utf8') : '')
    sources.set(file, source)
    return !titleOf(name).test(source)
  })
  expect(missing).toEqual([])
})

test('docs/parity.md names a test for every row that is here, and has all rows of the page', () => {
  const unshown = ROWS.filter((row) => /\| (here|taken away)\b/.test(row) && shownIn(row).length === 0)
  expect(unshown.filter((row) => !row.includes('the three tests of row 3'))).toEqual([])
  const numbers = ROWS.map((row) => /^\| (\d+) \|/.exec(row)?.[1]).filter((number) => number !== undefined)
  expect(numbers.map(Number)).toEqual(Array.from({ length: 21 }, (_, index) => index + 1))
})
