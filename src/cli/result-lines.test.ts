import { expect, test } from 'vitest'
import { Failure } from '#core'
import type { Order } from './order.ts'
import type { Outcome } from './outcome.ts'
import { failureLine, openingLines, originsLine, successLines } from './result-lines.ts'

const outcome: Outcome = {
  taskId: 'x',
  bytes: 11,
  contentLength: 11,
  bytesFromSource: 4,
  bytesFromPeers: 7,
  bytesLocal: 0,
  bytesByParentHost: { 'host-a': 2, 'host-b': 5 },
  by: 'daemon',
}
const order = { url: 'http://me:secret@host/f?x=1', output: '/tmp/f' } as Order

test('the lines before a download are those of v2.0.2, in order', () => {
  const [first, version, user, ...rest] = openingLines(order, new Date(2026, 0, 2, 3, 4, 5))
  expect(first).toBe('--2026-01-02 03:04:05--  http://me:***@host/f?x=1')
  expect(version).toMatch(/^dfget version: v\S+$/)
  expect(user).toMatch(/^current user: \S+, default peer ip: [\d.]+$/)
  expect(rest).toEqual(['output path: /tmp/f', 'init success and start to download'])
})

test('the lines after it are those of v2.0.2, and one that says who gave how much', () => {
  expect(successLines(outcome, 12.4)).toEqual([
    'finish total length 11 bytes',
    'download success: true cost: 12 ms ',
    'from the source 4 B, from 2 peers 7 B (host-b 5 B, host-a 2 B), from this host 0 B',
  ])
  expect(originsLine({ ...outcome, bytesByParentHost: {}, bytesFromPeers: 0 })).toBe(
    'from the source 4 B, from 0 peers 0 B, from this host 0 B',
  )
})

test('many parents are told in one line of a bearable length', () => {
  const bytesByParentHost = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`host-${at}`, at]))
  expect(originsLine({ ...outcome, bytesByParentHost })).toContain('host-99 99 B')
  expect(originsLine({ ...outcome, bytesByParentHost })).toContain('and 95 more')
})

test('a failure is one line, whatever it holds', () => {
  expect(failureLine(new Failure('source.broken', 'two\nlines'), 3)).toBe(
    'download success: false cost: 3 ms error: two lines',
  )
})
