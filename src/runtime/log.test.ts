import { mkdtempSync, readFileSync, rmSync, statSync, existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createLog } from './log.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'log-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function linesOf(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line))
}

test('a line is in the file as JSON before the call returns', () => {
  const file = join(dir, 'deep', 'daemon.log')
  using log = createLog({ name: 'daemon', level: 'info', file })
  log.child({ task: 'abc' }).warn({ url: 'http://u:pw@h/x?k=v', headers: { authorization: 'pw' } }, 'slow')
  log.debug('not at this level')
  const [line, ...more] = linesOf(file)
  expect(more).toEqual([])
  expect(line).toMatchObject({ level: 'warn', name: 'daemon', task: 'abc', msg: 'slow' })
  expect(Date.parse(String(line?.['time']))).toBeGreaterThan(0)
  expect(JSON.stringify(line)).not.toContain('pw')
})

test('a log never takes more than twice its limit, and loses no line of the newer half', () => {
  const file = join(dir, 'daemon.log')
  const maxBytes = 2000
  {
    using log = createLog({ name: 'daemon', level: 'info', file, maxBytes })
    for (let count = 0; count < 200; count++) log.info({ count }, 'tick')
  }
  expect(statSync(file).size).toBeLessThanOrEqual(maxBytes)
  expect(statSync(`${file}.1`).size).toBeLessThanOrEqual(maxBytes)
  expect(existsSync(`${file}.2`)).toBe(false)
  const counts = [...linesOf(`${file}.1`), ...linesOf(file)].map((line) => line['count'])
  expect(counts.at(-1)).toBe(199)
  expect(counts).toEqual(counts.map((_, index) => 200 - counts.length + index))
})
