import { expect, test } from 'vitest'
import { asFailure, FAILURES, Failure, messageOf } from './failure.ts'

test('every failure says what to do, and no download fails with exit code 0', () => {
  for (const [code, { exit, help }] of Object.entries(FAILURES)) {
    expect(help.length, code).toBeGreaterThan(10)
    expect(exit, code).toBeGreaterThan(0)
    expect(exit, code).toBeLessThan(256)
  }
})

test('what nobody foresaw is a bug, and keeps its cause', () => {
  const cause = new TypeError('x is undefined')
  expect(asFailure(cause)).toMatchObject({ code: 'internal', message: 'x is undefined', cause })
})

test('an abort is told as what caused it', () => {
  const abort = new DOMException('aborted', 'AbortError')
  expect(asFailure(abort).code).toBe('download.cancelled')
  const caused = Object.assign(new Error('aborted', { cause: new Failure('download.timeout', 'late') }), {
    name: 'AbortError',
  })
  expect(asFailure(caused).code).toBe('download.timeout')
})

test('several errors are told in one line', () => {
  expect(messageOf(new AggregateError([new Error('a'), new Error('b')]))).toBe('a; b')
})

test('a failure that another copy of this module made is one, and nothing else is', async () => {
  const copy = (await import(`${import.meta.resolve('./failure.ts')}?copy`)) as { readonly Failure: typeof Failure }
  expect(copy.Failure).not.toBe(Failure)
  const thrown: unknown = new copy.Failure('source.changed', 'x')
  expect(thrown).toBeInstanceOf(Failure)
  expect(asFailure(thrown)).toBe(thrown)
  for (const other of [new Error('x'), { code: 'internal', name: 'Failure' }, null, undefined, 'x']) {
    expect(other).not.toBeInstanceOf(Failure)
  }
})
