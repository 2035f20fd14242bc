import type { ErrorObject, ValidateFunction } from 'ajv'
import { nearWord } from '#core'
import type { StandardSchema } from '#source'
import { oneLine, thrownMessage } from '../one-line.ts'

const MOST_TOLD = 10

/**
 * Holds options to the schema that a plugin exports, and gives what the schema makes of them (defaults filled in).
 * Throws an Error that names each wrong key, below `place`, with the reason (no values, which may be secrets), and has
 * the code `config.invalid`; one without that code for a schema that is none.
 */
export async function checkOptions(
  schema: unknown,
  options: Record<string, unknown>,
  place: string,
): Promise<Record<string, unknown>> {
  if (isStandard(schema)) return byStandardSchema(schema, options, place)
  if (!isRecord(schema)) throw new Error('DragonflyPluginOptions is neither a Standard Schema nor a JSON Schema')
  return byJsonSchema(schema, options, place)
}

async function byStandardSchema(
  schema: StandardSchema,
  options: Record<string, unknown>,
  place: string,
): Promise<Record<string, unknown>> {
  const { value, reasons } = await judge(schema, options, place)
  if (reasons !== undefined) throw wrong(place, reasons)
  if (isRecord(value)) return value
  throw new Error('DragonflyPluginOptions makes no object of the options')
}

interface Judgement {
  readonly value?: unknown
  readonly reasons?: readonly string[]
}

/** Runs a stranger's schema, and reads its answer, which may be anything. */
async function judge(schema: StandardSchema, options: Record<string, unknown>, place: string): Promise<Judgement> {
  try {
    const { issues, value } = await schema['~standard'].validate(structuredClone(options))
    if (issues === undefined) return { value }
    const reasons = issues.map(({ message, path }) => {
      const keys = (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part))
      return reason([place, ...keys], typeof message === 'string' ? message : 'is wrong')
    })
    return { reasons }
  } catch (error) {
    throw new Error(`DragonflyPluginOptions failed: ${thrownMessage(error)}`, { cause: error })
  }
}

async function byJsonSchema(
  schema: Record<string, unknown>,
  options: Record<string, unknown>,
  place: string,
): Promise<Record<string, unknown>> {
  const validate = await compile(schema)
  const checked = structuredClone(options)
  if (validate(checked) === true) return checked
  throw wrong(
    place,
    (validate.errors ?? []).map((error) => tell(error, place)),
  )
}

async function compile(schema: Record<string, unknown>): Promise<ValidateFunction> {
  const reading = { useDefaults: true, coerceTypes: true, strict: false } as const
  // Verbose: with the part of the schema that was not met, for its other keys.
  const settings = { ...reading, allErrors: true, verbose: true, logger: false } as const
  const { $schema: version } = schema
  const is2020 = typeof version === 'string' && version.includes('2020-12')
  const { default: library } = is2020 ? await import('ajv/dist/2020.js') : await import('ajv')
  try {
    const validate = new library.default(settings).compile(schema)
    if ('$async' in validate) throw new Error('it is asynchronous ($async), which is not supported')
    return validate
  } catch (error) {
    throw new Error(`DragonflyPluginOptions is no JSON Schema: ${thrownMessage(error)}`, { cause: error })
  }
}

/** A key that is wrong in two ways is told twice at most; what is wrong in a thousand is told by its first ones. */
function wrong(place: string, reasons: readonly string[]): Error {
  const all = [...new Set(reasons)]
  const told = all.slice(0, MOST_TOLD)
  if (all.length > MOST_TOLD) told.push(`and ${all.length - MOST_TOLD} more`)
  const message = told.length === 0 ? `${place}: they are not what the plugin asks for` : told.join('; ')
  return Object.assign(new Error(oneLine(message)), { code: 'config.invalid' })
}

function tell(
  { instancePath, keyword, params, message = 'is wrong', parentSchema }: ErrorObject,
  place: string,
): string {
  const inner = instancePath
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  const keys = [place, ...inner]
  const { missingProperty, additionalProperty, unevaluatedProperty, allowedValues } = params as Params
  if (missingProperty !== undefined) return reason([...keys, missingProperty], 'is missing')
  const unknown = additionalProperty ?? unevaluatedProperty
  if (unknown !== undefined) return reason([...keys, unknown], `there is no such option${meant(unknown, parentSchema)}`)
  if (keyword === 'enum') return reason(keys, `must be one of ${(allowedValues ?? []).map(String).join(', ')}`)
  return reason(keys, message)
}

/** What ajv tells of a keyword that was not met. */
interface Params {
  readonly missingProperty?: string
  readonly additionalProperty?: string
  readonly unevaluatedProperty?: string
  readonly allowedValues?: readonly unknown[]
}

function meant(key: string, schema: object | undefined): string {
  const known = isRecord(schema) && isRecord(schema['properties']) ? Object.keys(schema['properties']) : []
  const near = nearWord(key, known)
  if (near !== undefined) return `; did you mean ${near}?`
  return known.length === 0 ? '' : `; known: ${known.join(', ')}`
}

function reason(keys: readonly string[], message: string): string {
  return `${keys.join('.')}: ${message}`
}

function isStandard(schema: unknown): schema is StandardSchema {
  return (
    (typeof schema === 'object' || typeof schema === 'function') &&
    schema !== null &&
    '~standard' in schema &&
    isRecord(schema['~standard']) &&
    typeof schema['~standard'].validate === 'function'
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
