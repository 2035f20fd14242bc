import { expect, test } from 'vitest'
import { describeError } from './describe-error.ts'

function denial(permission: string, resource: string, code = 'ERR_ACCESS_DENIED'): Error {
  return Object.assign(new Error('Access to this API has been restricted'), { code, permission, resource })
}

const said = (error: unknown): unknown => describeError(error, 'store').message

test.each([
  [denial('FileSystemRead', '/etc/x'), 'it may not read /etc/x', 'files', '--plugin-grant store.files=/etc/x'],
  [denial('FileSystemWrite', '/a b'), 'it may not write /a b', 'writes', "--plugin-grant 'store.writes=/a b'"],
  [denial('ChildProcess', ''), 'it may not run other programs', 'processes', '--plugin-grant store.processes=true'],
  [denial('WorkerThreads', ''), 'it may not start threads', 'processes', '--plugin-grant store.processes=true'],
  [
    denial('', '', 'ERR_DLOPEN_DISABLED'),
    'it may not load native addons',
    'addons',
    '--plugin-grant store.addons=true',
  ],
])('what Node kept a plugin from is told with how to grant it (%s)', (error, what, kind, flag) => {
  expect(said(error)).toBe(
    `${what}, which it was not granted: grant it in the configuration (pluginPolicy.grants.store.${kind}), or with ${flag}`,
  )
})

test('what cannot be granted by name is told as it is', () => {
  expect(said(denial('FileSystemRead', 'some.txt'))).toBe(
    'it may not read "some.txt": files can be granted, and are then named, by absolute paths',
  )
  expect(said(denial('Inspector', ''))).toBe('it may not use Inspector: only --plugin-grant store=all lifts that')
})

test('the words of a plugin stay before those about the cause', () => {
  const error = new Error('cannot read the key', {
    cause: new Error('open', { cause: denial('FileSystemRead', '/k') }),
  })
  expect(said(error)).toMatch(/^cannot read the key: it may not read \/k, .*--plugin-grant store\.files=\/k$/)
})

test('words that tell it already do not tell it twice', () => {
  const cause = denial('ChildProcess', '')
  const error = new Error(`it cannot be loaded: ${String(said(cause))}`, { cause })
  expect(said(error)).toBe(error.message)
})

test('other errors say what they say, and causes that go round in a circle end', () => {
  expect(said(new Error('no such bucket', { cause: new Error('404') }))).toBe('no such bucket')
  const round = new Error('round')
  round.cause = round
  expect(said(round)).toBe('round')
  expect(said('text')).toBe('text')
  expect(said(undefined)).toBe('undefined')
})

test('an error that cannot be read is told without its words', () => {
  const trap = new Proxy(new Error('x'), {
    get() {
      throw new Error('trap')
    },
  })
  expect(said(trap)).toBe('it threw something unreadable')
})
