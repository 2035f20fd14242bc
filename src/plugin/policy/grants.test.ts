import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Failure } from '#core'
import { covers, grantsOf, missingGrants } from './grants.ts'

const NOTHING = {
  all: false,
  network: [],
  files: [],
  writes: [],
  environment: [],
  processes: false,
  addons: false,
}

function failureOf(of: () => unknown): Failure {
  try {
    of()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it did not fail')
}

test('a scheme without grants has none, whatever every object knows by that name', () => {
  for (const scheme of ['store', 'constructor', '__proto__'])
    expect(grantsOf(scheme, { other: 'all' })).toEqual(NOTHING)
  expect(grantsOf('store', { store: null })).toEqual(NOTHING)
})

test('grants are lists, single texts, true or false, or all; a scheme means the same in capitals', () => {
  const given = { files: '/etc/x', writes: ['/var/a/', '/var/b/../c'], environment: ['AWS_*', 'HOME'], processes: true }
  expect(grantsOf('store', { Store: given })).toEqual({
    ...NOTHING,
    files: ['/etc/x'],
    writes: ['/var/a', '/var/c'],
    environment: ['AWS_*', 'HOME'],
    processes: true,
  })
  expect(grantsOf('store', { store: 'all' })).toEqual({ ...NOTHING, all: true })
})

test.each([
  ['some', 'pluginPolicy.grants.store: "some" is neither a mapping nor `all`'],
  [['files'], 'pluginPolicy.grants.store: an array is neither a mapping nor `all`'],
  [{ file: [] }, 'pluginPolicy.grants.store: there is no permission "file"; known: network, files, '],
  [{ files: true }, 'pluginPolicy.grants.store.files: true is no list'],
  [{ files: [7] }, 'pluginPolicy.grants.store.files: a number is no text'],
  [{ files: ['etc/x'] }, 'pluginPolicy.grants.store.files: "etc/x" is no absolute path'],
  [{ files: ['/a*b'] }, 'pluginPolicy.grants.store.files: "/a*b" has a * that is not at its end'],
  [{ files: ['/a\0b'] }, 'pluginPolicy.grants.store.files: '],
  [{ writes: ['/a\u202eb'] }, 'pluginPolicy.grants.store.writes: '],
  [{ files: Array.from({ length: 257 }, () => '/x') }, 'pluginPolicy.grants.store.files: it has more than 256 entries'],
  [{ environment: ['A=B'] }, 'pluginPolicy.grants.store.environment: "A=B" is neither a name nor'],
  [{ environment: ['A*B'] }, 'pluginPolicy.grants.store.environment: "A*B" is neither a name nor'],
  [{ processes: 'yes' }, 'pluginPolicy.grants.store.processes: "yes" is neither true nor false'],
])('wrong grants (%j) are refused with their key', (given, message) => {
  const failure = failureOf(() => grantsOf('store', { store: given }))
  expect(failure.code).toBe('config.invalid')
  expect(failure.message.startsWith(message), failure.message).toBe(true)
})

test('what is declared and not granted is told as flags are written; the network needs no grant', () => {
  const declared = {
    network: ['host:22'],
    files: ['/etc/known', '/srv/data/a', '/srv/database'],
    writes: ['/var/cache'],
    environment: ['HOME', 'AWS_*', 'AWS_KEY'],
    processes: true,
    addons: false,
  }
  const granted = grantsOf('s', { s: { files: ['/srv/data'], writes: ['/var/cache/x'], environment: 'AWS_KEY' } })
  expect(missingGrants(declared, granted)).toEqual([
    'files=/etc/known',
    'files=/srv/database',
    'writes=/var/cache',
    'environment=HOME',
    'environment=AWS_*',
    'processes=true',
  ])
  expect(missingGrants(declared, grantsOf('s', { s: 'all' }))).toEqual([])
  expect(missingGrants(undefined, grantsOf('s', {}))).toEqual([])
})

test('a path that leaves a granted directory by .. is not in it', () => {
  const granted = grantsOf('s', { s: { files: ['/srv/data', '/opt/x-*'] } })
  expect(missingGrants({ files: ['/srv/data/../secret'] }, granted)).toEqual(['files=/srv/secret'])
  expect(missingGrants({ files: ['/srv/data/./a/', '/srv/data/*', '/opt/x-1/y', '/opt/x-*'] }, granted)).toEqual([])
  expect(missingGrants({ files: ['/opt/x', '/srv/*'] }, granted)).toEqual(['files=/opt/x', 'files=/srv'])
  expect(missingGrants({ files: ['/', '/a'] }, grantsOf('s', { s: { files: ['/'] } }))).toEqual([])
})

test.each([[[]], ['all'], [{ files: 'x' }], [{ environment: [''] }], [{ root: true }]])(
  'a declaration that is none (%j) is the fault of the plugin, even where all is granted',
  (declared) => {
    for (const grants of [grantsOf('s', {}), grantsOf('s', { s: 'all' })])
      expect(failureOf(() => missingGrants(declared, grants))).toMatchObject({
        code: 'plugin.broken',
        message: expect.stringMatching(/^metadata\.permissions/),
      })
  },
)

test('a pattern covers what begins with it, and no pattern that is wider', () => {
  expect(covers('AWS_*', 'AWS_KEY')).toBe(true)
  expect(covers('AWS_*', 'AWS_S3_*')).toBe(true)
  expect(covers('AWS_S3_*', 'AWS_*')).toBe(false)
  expect(covers('AWS_KEY', 'AWS_*')).toBe(false)
  expect(covers('AWS', 'AWS_KEY')).toBe(false)
  expect(covers('*', 'ANY')).toBe(true)
})

test('what is granted word for word, or lies below it, is never missing; what lies elsewhere always is', () => {
  const name = fc.stringMatching(/^[a-z.]{1,6}$/).filter((text) => !/^\.+$/.test(text))
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => `/${names.join('/')}`)
  fc.assert(
    fc.property(fc.uniqueArray(path, { minLength: 1 }), (files) => {
      const granted = grantsOf('s', { s: { files } })
      expect(missingGrants({ files: files.flatMap((file) => [file, `${file}/below`, `${file}/`]) }, granted)).toEqual(
        [],
      )
      const elsewhere = files.map((file) => `/0${file}`)
      expect(missingGrants({ files: elsewhere }, granted)).toEqual(elsewhere.map((file) => `files=${file}`))
    }),
  )
})

test('whatever is declared or granted, it is understood or refused by name, and what is missing can be granted', () => {
  const path = fc.oneof(fc.string(), fc.stringMatching(/^\/[a-z./*]{0,12}$/))
  const lists = { files: fc.array(path), environment: fc.array(fc.stringMatching(/^[A-Z*]*$/)) }
  const wild = fc.oneof(fc.anything(), fc.record(lists, { requiredKeys: [] }))
  fc.assert(
    fc.property(wild, wild, (declared, given) => {
      try {
        const missing = missingGrants(declared, grantsOf('s', { s: given }))
        const more: { [kind: string]: string[] } = {}
        for (const kind of ['files', 'environment'])
          more[kind] = missing.filter((what) => what.startsWith(`${kind}=`)).map((what) => what.slice(kind.length + 1))
        const lacking = missingGrants(declared, grantsOf('s', { s: { ...more, processes: true, addons: true } }))
        expect(lacking.filter((what) => missing.includes(what))).toEqual([])
      } catch (error) {
        expect(error).toBeInstanceOf(Failure)
      }
    }),
    { numRuns: 300 },
  )
})
