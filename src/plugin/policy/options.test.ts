import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Failure } from '#core'
import { resolveOptions } from './options.ts'
import { scrub } from './secrets.ts'

const env = { TOKEN: 's3cr3t-token', EMPTY: '' }
const files: Readonly<Record<string, string>> = {
  '/run/key': '-----BEGIN KEY-----\nabc\n-----END KEY-----\n',
  '/run/windows': 'word\r\n',
  '/run/empty': '\n',
}
const places = {
  env,
  async readFile(path: string): Promise<string> {
    const text = files[path]
    if (text === undefined) throw new Error('ENOENT: no such file')
    return text
  },
}

async function failureOf(options: unknown, scheme = 'store'): Promise<Failure> {
  try {
    await resolveOptions(scheme, { [scheme]: options }, places)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('it did not fail')
}

test('references are filled in wherever they stand, in lists too, and what is none stays as it is', async () => {
  const raw = {
    token: 'env:TOKEN',
    users: [{ name: 'me', key: 'file:/run/key' }, 'env:TOKEN', 'env', 'env:1', 'file:relative', 'file:///run/key'],
    word: 'file:/run/windows',
    other: { port: 22, on: true, nothing: null, text: 'see env:TOKEN' },
  }
  const { options, secrets } = await resolveOptions('store', { store: raw }, places)
  const key = '-----BEGIN KEY-----\nabc\n-----END KEY-----'
  expect(options).toEqual({
    token: 's3cr3t-token',
    users: [{ name: 'me', key }, 's3cr3t-token', 'env', 'env:1', 'file:relative', 'file:///run/key'],
    word: 'word',
    other: { port: 22, on: true, nothing: null, text: 'see env:TOKEN' },
  })
  expect(new Set(secrets)).toEqual(new Set(['s3cr3t-token', key, 'word']))
})

test('what a reference gives is not taken for a reference in its turn', async () => {
  const { options } = await resolveOptions(
    'store',
    { store: { a: 'env:A' } },
    { ...places, env: { A: 'file:/etc/passwd' } },
  )
  expect(options).toEqual({ a: 'file:/etc/passwd' })
})

test('values that stand under secret-looking keys are secrets too, and so is all that is below such a key', async () => {
  const raw = { password: 'hunter2', port: 22, credentials: { user: 'somebody', pin: 123456 }, name: 'public' }
  const { secrets } = await resolveOptions('store', { store: raw }, places)
  expect(new Set(secrets)).toEqual(new Set(['hunter2', 'somebody', '123456']))
})

test('options are a copy: a plugin that writes to them changes no configuration', async () => {
  const raw = { store: { list: [{ a: 1 }] } }
  const { options } = await resolveOptions('store', raw, places)
  ;(options['list'] as unknown[]).push('more')
  expect(raw).toEqual({ store: { list: [{ a: 1 }] } })
})

test('a scheme without options has none, whatever every object knows by that name', async () => {
  for (const scheme of ['other', 'constructor', '__proto__', 'tostring'])
    expect(await resolveOptions(scheme, { store: { a: 1 } }, places)).toEqual({ options: {}, secrets: [] })
  expect((await resolveOptions('store', { store: null }, places)).options).toEqual({})
  expect((await resolveOptions('store', { Store: { a: 1 } }, places)).options).toEqual({ a: 1 })
})

test.each([
  ['env:MISSING', 'plugins.store.a.0: env:MISSING names an environment variable that is not set'],
  ['env:EMPTY', 'plugins.store.a.0: env:EMPTY names an environment variable that is not set'],
  ['env:constructor', 'plugins.store.a.0: env:constructor names an environment variable that is not set'],
  ['file:/run/empty', 'plugins.store.a.0: file:/run/empty names an empty file'],
  ['file:/run/none', 'plugins.store.a.0: file:/run/none cannot be read: ENOENT: no such file'],
])('the reference %s is refused with its key', async (reference, message) => {
  expect(await failureOf({ a: [reference] })).toMatchObject({ code: 'config.invalid', message })
})

test.each(['hunter2', ['hunter2'], 7])(
  'options that are no mapping (%j) are refused without being repeated',
  async (raw) => {
    const { code, message } = await failureOf(raw)
    expect({ code, message }).toEqual({
      code: 'config.invalid',
      message: 'plugins.store: is not a mapping of options',
    })
  },
)

test('options that hold themselves, are too deep or too many are refused', async () => {
  const cyclic: unknown[] = []
  cyclic.push(cyclic, cyclic, 'hunter2')
  for (const raw of [{ a: cyclic }, { a: Array.from({ length: 20_000 }, () => 'hunter2') }]) {
    const { code, message } = await failureOf(raw)
    expect(code).toBe('config.invalid')
    expect(message).toMatch(/^plugins\.store: (is nested deeper than|holds more than) /)
  }
})

test('options without references come out as they went in', async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (raw) => {
      fc.pre(!/env:|file:/.test(JSON.stringify(raw)))
      const { options } = await resolveOptions('store', { store: raw }, places)
      expect(options).toEqual(raw)
      expect(Object.getPrototypeOf(options)).toBe(Object.prototype)
    }),
  )
})

test('the password of a URL is a secret, as it is written and as it is meant', async () => {
  const raw = { store: { proxies: ['http://user:p%40ssword@proxy:1/', 'http://user@proxy:1', 'http://h/@x'] } }
  const { options, secrets } = await resolveOptions('store', raw, { env: {}, readFile: async () => '' })
  expect(options).toEqual(raw.store)
  expect(new Set(secrets)).toEqual(new Set(['p%40ssword', 'p@ssword']))
})

test('a secret that is too long for a pattern is taken out all the same, and told by no error', () => {
  const secret = Array.from({ length: 13_000 }, (_, at) => String(10_000 + at)).join('')
  expect(scrub(`a ${secret} b`, [secret])).toBe('a [hidden] b')
})
