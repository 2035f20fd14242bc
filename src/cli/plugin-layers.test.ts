import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Failure } from '#core'
import { type GivenPlugins, givenPlugins, PLUGINS_VARIABLE, pluginLayer } from './plugin-layers.ts'

const NOTHING: GivenPlugins = { options: {}, grants: {} }

function options(pluginOption: string[], variable?: string): unknown {
  return givenPlugins({ pluginOption, pluginGrant: [] }, { [PLUGINS_VARIABLE]: variable }).options
}

function grants(pluginGrant: string[], file: unknown = {}): unknown {
  const given = givenPlugins({ pluginOption: [], pluginGrant }, {})
  return pluginLayer({ pluginPolicy: { grants: file } }, given).pluginPolicy.grants
}

function failure(of: () => unknown): Failure {
  try {
    of()
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it did not fail')
}

test('a file counts less than the environment, and that less than flags, key by key', () => {
  const file = { plugins: { store: { a: 'file', b: 'file', c: 'file', deep: { x: 1, y: 1 }, list: ['file', 'file'] } } }
  const flags = { pluginOption: ['store.c=flag', 'store.deep.y=2', 'store.list=[flag]'], pluginGrant: [] }
  const env = { [PLUGINS_VARIABLE]: '{ store: { b: env, c: env }, other: { k: 1 } }' }
  expect(pluginLayer(file, givenPlugins(flags, env)).plugins).toEqual({
    store: { a: 'file', b: 'env', c: 'flag', deep: { x: 1, y: 2 }, list: ['flag'] },
    other: { k: 1 },
  })
})

test('a scheme means the same in capitals, wherever it stands', () => {
  const file = {
    plugins: { Store: { a: 1 } },
    pluginPolicy: { grants: { STORE: { processes: true } }, pins: { stoRe: 'ab' } },
  }
  const given = givenPlugins(
    { pluginOption: ['sTore.c=3'], pluginGrant: ['STOre.addons=true'] },
    env('{STORE: {b: 2}}'),
  )
  expect(pluginLayer(file, given)).toEqual({
    plugins: { store: { a: 1, b: 2, c: 3 } },
    pluginPolicy: { grants: { store: { processes: true, addons: true } }, pins: { store: 'ab' } },
  })
})

function env(variable: string): NodeJS.ProcessEnv {
  return { [PLUGINS_VARIABLE]: variable }
}

test.each([
  ['22', 22],
  ['"22"', '22'],
  ['true', true],
  ['null', null],
  ['', ''],
  ['[a, b]', ['a', 'b']],
  ['{ a: { b: 1 } }', { a: { b: 1 } }],
  ['env:NAME', 'env:NAME'],
  ['http://127.0.0.1:9000/x?y=z', 'http://127.0.0.1:9000/x?y=z'],
  ['a=b', 'a=b'],
  ['"#1"', '#1'],
  ['a#b', 'a#b'],
  ['12345678901234567890', '12345678901234567890'],
])('the value %s behind a key is what it looks like', (written, value) => {
  expect(options([`store.key=${written}`])).toEqual({ store: { key: value } })
})

test.each([
  '#secret',
  'a #secret',
  '&secret b',
  '!secret',
  '*secret',
  '%secret',
  '@secret',
  '"secret',
  '`secret',
  '.inf',
])('the value %s is refused, for YAML would take a part of it away, and is not repeated', (written) => {
  const { code, message } = failure(() => options([`store.key=${written}`]))
  expect(code).toBe('usage.invalid')
  expect(message).toMatch(/^--plugin-option store\.key=…: /)
  expect(message).not.toContain('secret')
})

test.each(['store', 'store=1', '=1', '.key=1', 'store.=1', 'store..a=1', 'store.__proto__=1', 'constructor.a=1', ''])(
  'the option %j is refused',
  (text) => {
    expect(failure(() => options([text]))).toMatchObject({ code: 'usage.invalid' })
  },
)

test('an option without an = may be a secret that was torn off: it is not repeated', () => {
  expect(failure(() => options(['hunter2'])).message).not.toContain('hunter2')
})

test('every text can be given in JSON quotes, and comes out as it was; other objects stay as they are', () => {
  const key = fc
    .stringMatching(/^[a-z][a-zA-Z0-9_-]{0,8}$/)
    .filter((name) => !['constructor', 'prototype'].includes(name))
  fc.assert(
    fc.property(fc.array(key, { minLength: 1, maxLength: 5 }), fc.string({ unit: 'binary' }), (keys, text) => {
      let found = options([`store.${keys.join('.')}=${JSON.stringify(text)}`])
      for (const name of ['store', ...keys]) found = (found as Record<string, unknown>)[name]
      expect(found).toBe(text)
    }),
  )
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

test('whatever stands on the command line or in the environment, it is understood or refused by name', () => {
  const word = fc.oneof(fc.string(), fc.stringMatching(/^[a-z._]{1,8}=[-[\]{}:&*!#"' a-z0-9]{0,20}$/))
  fc.assert(
    fc.property(fc.array(word, { maxLength: 3 }), word, (words, variable) => {
      for (const flags of [
        { pluginOption: words, pluginGrant: [] },
        { pluginOption: [], pluginGrant: words },
      ])
        try {
          pluginLayer({}, givenPlugins(flags, env(variable)))
        } catch (error) {
          expect(error).toBeInstanceOf(Failure)
        }
      expect(Object.keys(Object.prototype)).toEqual([])
    }),
    { numRuns: 500 },
  )
})

test('grants add up, from the file and from flags, and all is all', () => {
  expect(grants(['s.files=/a,/b', 's.files=/c', 's.processes=true'], { s: { files: '/file', addons: true } })).toEqual({
    s: { files: ['/file', '/a', '/b', '/c'], addons: true, processes: true },
  })
  expect(grants(['s.files=/a'], { s: 'all' })).toEqual({ s: 'all' })
  expect(grants(['s.files=/a', 's=all'])).toEqual({ s: 'all' })
  expect(grants(['s=all', 's.files=/a'])).toEqual({ s: 'all' })
})

test.each([
  's',
  's=some',
  's.file=/a',
  's.files',
  's.files=',
  's.files=/a,',
  's.processes=yes',
  's.files.x=/a',
  '__proto__.files=/a',
])('the grant %s is refused at once', (text) => {
  expect(failure(() => grants([text]))).toMatchObject({ code: 'usage.invalid' })
})

test.each([
  ['neither YAML nor JSON', '{ s: { password: hunter2 '],
  ['s: is a string', '{ s: hunter2 }'],
  ['expected a mapping', '[hunter2]'],
  ['expected a mapping', 'hunter2'],
  ['neither YAML nor JSON', '{ s: { password: *hunter2 } }'],
  ['no such key', '{ s: { __proto__: hunter2 } }'],
  ['holds more than', `{ s: { a: &a [${'x,'.repeat(200)}], b: [${'*a,'.repeat(99)}], password: hunter2 } }`],
  ['neither YAML nor JSON', `{ s: ${'['.repeat(20_000)} hunter2`],
  ['neither YAML nor JSON', `{ s: ${'['.repeat(1500)}hunter2${']'.repeat(1500)} }`],
  ['neither YAML nor JSON', `s:\n${'- '.repeat(20_000)} hunter2`],
])('the environment variable is refused (%s), and nothing of it is repeated', (why, text) => {
  const { code, message } = failure(() => options([], text))
  expect(code).toBe('config.invalid')
  expect(message).toContain(PLUGINS_VARIABLE)
  expect(message).toContain(why)
  expect(message).not.toContain('hunter2')
})

test('what holds itself, is too large or is no plain data in the file is refused with its key, and without a value', () => {
  const cyclic: unknown[] = []
  cyclic.push(cyclic, cyclic)
  const wrong: [string, unknown][] = [
    ['plugins.s.k', { s: { k: cyclic } }],
    ['plugins', { s: { k: Array.from({ length: 20_000 }, () => 'hunter2') } }],
    ['plugins', { s: { k: 'hunter2'.repeat(200_000) } }],
    ['plugins.s.k', { s: { k: new Date() } }],
    ['plugins.s.k', { s: { k: new Set(['hunter2']) } }],
    ['plugins.s.k', { s: { k: Number.NaN } }],
    ['plugins.s.constructor', { s: { constructor: 'hunter2' } }],
    ['plugins.s.__proto__', JSON.parse('{ "s": { "__proto__": "hunter2" } }')],
    ['plugins.__proto__', JSON.parse('{ "__proto__": { "password": "hunter2" } }')],
    ['plugins.s', { s: ['hunter2'] }],
    ['plugins', ['hunter2']],
    ['plugins', 'hunter2'],
  ]
  for (const [key, plugins] of wrong) {
    const { code, message } = failure(() => pluginLayer({ plugins }, NOTHING))
    expect(code).toBe('config.invalid')
    expect(message.startsWith(key), message).toBe(true)
    expect(message).not.toContain('hunter2')
  }
  expect(failure(() => pluginLayer({ pluginPolicy: { pins: [] } }, NOTHING)).message).toMatch(/^pluginPolicy\.pins: /)
})

test('a file without a word of plugins is none, and so is one whose scheme is left empty', () => {
  expect(pluginLayer(undefined, NOTHING).plugins).toEqual({})
  expect(pluginLayer({ plugins: { s: null }, pluginPolicy: null }, NOTHING).plugins).toEqual({ s: null })
})
