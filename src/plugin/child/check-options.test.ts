import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { checkOptions } from './check-options.ts'

const SECRET = 'hunter2-and-more'
const PLACE = 'plugins.store'

const check = (schema: unknown, options: Record<string, unknown>): Promise<Record<string, unknown>> =>
  checkOptions(schema, options, PLACE)

async function failure(
  schema: unknown,
  options: Record<string, unknown>,
): Promise<{ code?: unknown; message: string }> {
  try {
    await check(schema, options)
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('it did not fail with an Error')
}

const SCHEMA = {
  type: 'object',
  properties: {
    region: { type: 'string' },
    retries: { type: 'integer', minimum: 0, default: 3 },
    mode: { enum: ['fast', 'safe'] },
    deep: { type: 'object', properties: { endpoint: { type: 'string' } }, additionalProperties: false },
  },
  required: ['region'],
  additionalProperties: false,
}

const DRAFTS = ['http://json-schema.org/draft-07/schema#', 'https://json-schema.org/draft/2020-12/schema', undefined]

test.each(DRAFTS)('a JSON Schema (%s) fills in defaults, and takes texts for numbers and truths', async ($schema) => {
  const properties = { ...SCHEMA.properties, tls: { type: 'boolean' } }
  const given = { region: 'eu', tls: 'true', retries: '7' }
  const schema = { ...SCHEMA, properties, ...($schema === undefined ? {} : { $schema }) }
  expect(await check(schema, given)).toEqual({ region: 'eu', tls: true, retries: 7 })
  expect(await check(schema, { region: 7 })).toEqual({ region: '7', retries: 3 })
  expect(given.retries).toBe('7')
})

test.each(DRAFTS)(
  'wrong options are told all at once, each by its key (%s), and none by its value',
  async ($schema) => {
    const { code, message } = await failure(
      { ...SCHEMA, ...($schema === undefined ? {} : { $schema }) },
      { regoin: SECRET, retries: SECRET, mode: SECRET, zzzzzzz: SECRET, deep: { endpiont: SECRET, 'a/b~c': SECRET } },
    )
    expect(code).toBe('config.invalid')
    for (const part of [
      'plugins.store.region: is missing',
      'plugins.store.regoin: there is no such option; did you mean region?',
      'plugins.store.zzzzzzz: there is no such option; known: region, retries, mode, deep',
      'plugins.store.retries: must be integer',
      'plugins.store.mode: must be one of fast, safe',
      'plugins.store.deep.endpiont: there is no such option; did you mean endpoint?',
      'plugins.store.deep.a/b~c: there is no such option; known: endpoint',
    ])
      expect(message).toContain(part)
    expect(message).not.toContain(SECRET)
    expect(message).not.toContain('\n')
  },
)

test('the newer draft is understood where it is named, with what only it has', async () => {
  const prefixItems = [{ type: 'string' }, { type: 'integer' }]
  const properties = { pair: { type: 'array', prefixItems, items: false, minItems: 2 } }
  const schema = { $schema: DRAFTS[1], type: 'object', properties, unevaluatedProperties: false }
  expect(await check(schema, { pair: ['a', 1] })).toEqual({ pair: ['a', 1] })
  expect((await failure(schema, { pair: ['a', 'b'] })).message).toContain('plugins.store.pair.1: must be integer')
  expect((await failure(schema, { paar: [] })).message).toContain('paar: there is no such option; did you mean pair?')
})

test('a Standard Schema of a library says what it makes of the options, and each mistake by its key', async () => {
  const schema = z.strictObject({
    region: z.string(),
    deep: z.object({ port: z.coerce.number().max(9) }).optional(),
    n: z.number().default(3),
  })
  expect(await check(schema, { region: 'eu', deep: { port: '7' } })).toEqual({ region: 'eu', deep: { port: 7 }, n: 3 })
  const { code, message } = await failure(schema, { region: 5, deep: { port: 10 }, more: SECRET })
  expect(code).toBe('config.invalid')
  expect(message).toMatch(/plugins\.store\.region: .*string/)
  expect(message).toMatch(/plugins\.store\.deep\.port: /)
  expect(message).toMatch(/plugins\.store: .*"more"/)
  expect(message).not.toContain(SECRET)
})

test('a Standard Schema may be a function, answer later, and name keys as objects', async () => {
  const validate = (value: unknown): Promise<unknown> =>
    Promise.resolve({ value: { ...Object(value), more: 1 } as unknown })
  const schema = Object.assign(() => undefined, { '~standard': { version: 1, vendor: 'x', validate } })
  expect(await check(schema, { a: 1 })).toEqual({ a: 1, more: 1 })
  const refuses = { '~standard': { validate: () => ({ issues: [{ message: 'is wrong', path: [{ key: 'a' }, 0] }] }) } }
  expect((await failure(refuses, {})).message).toBe('plugins.store.a.0: is wrong')
})

const cyclic: { properties: Record<string, unknown> } = { properties: {} }
cyclic.properties['self'] = cyclic

test.each([
  ['a text', 'string'],
  ['nothing', null],
  ['a number', 7],
  ['a list', [SCHEMA]],
  ['a function', () => ({})],
  ['an unknown type', { type: 'wrong' }],
  ['properties that are none', { type: 'object', properties: 7 }],
  ['an unknown draft', { $schema: 'https://json-schema.org/draft/2019-09/schema' }],
  ['a draft that is no text', { $schema: 7 }],
  ['a reference to nowhere', { $ref: 'https://example.org/schema' }],
  ['a pattern that is none', { properties: { a: { type: 'string', pattern: '(' } } }],
  ['a schema that holds itself', cyclic],
  ['an asynchronous schema', { $async: true, type: 'object' }],
  [
    'a schema that throws',
    {
      '~standard': {
        validate: () => {
          throw new Error('no')
        },
      },
    },
  ],
  ['a schema that rejects', { '~standard': { validate: () => Promise.reject(new Error('no')) } }],
  ['a schema that answers with nothing', { '~standard': { validate: () => undefined } }],
  ['a schema that answers with a text', { '~standard': { validate: () => ({ value: 'text' }) } }],
  ['issues that are none', { '~standard': { validate: () => ({ issues: 7 }) } }],
  ['an issue that is none', { '~standard': { validate: () => ({ issues: [null] }) } }],
  ['a path that is none', { '~standard': { validate: () => ({ issues: [{ message: 'x', path: 7 }] }) } }],
])('%s for a schema is the fault of the plugin, and says so', async (_, schema) => {
  const { code, message } = await failure(schema, { a: 'b', password: SECRET })
  expect(message).toContain('DragonflyPluginOptions')
  expect(code).toBeUndefined()
  expect(message).not.toContain(SECRET)
})

test('a thousand mistakes are told by the first ones, in one line', async () => {
  const options = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`k${at}\n`, 1]))
  const { message } = await failure({ type: 'object', additionalProperties: false }, options)
  expect(message).toContain('and 990 more')
  expect(message.length).toBeLessThan(1000)
  expect(message).not.toContain('\n')
})

test('a schema that was made elsewhere (another realm, frozen) is one as well', async () => {
  const schema: unknown = runInNewContext(
    'Object.freeze({ type: "object", properties: { a: { type: "number", default: 1 } } })',
  )
  expect(await check(schema, {})).toEqual({ a: 1 })
})

test('whatever is exported as a schema, it is obeyed or refused with an Error, and changes no other object', async () => {
  const word = fc.constantFrom(
    'type',
    'properties',
    'items',
    'enum',
    'required',
    'default',
    '$ref',
    'anyOf',
    '__proto__',
    'a',
  )
  const leaf = fc.oneof(fc.constantFrom('object', 'string', '#', 'a'), fc.integer(), fc.boolean(), fc.constant(null))
  const { schema } = fc.letrec((tie) => ({
    schema: fc.dictionary(
      word,
      fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('schema'), { maxLength: 2 }), tie('schema')),
    ),
  }))
  await fc.assert(
    fc.asyncProperty(schema, fc.dictionary(word, fc.oneof(leaf, fc.dictionary(word, leaf))), async (one, options) => {
      const before = JSON.stringify(options)
      await check(one, options).catch((error: unknown) => expect(error).toBeInstanceOf(Error))
      expect(JSON.stringify(options)).toBe(before)
      expect(({} as { a?: unknown }).a).toBeUndefined()
    }),
  )
})
