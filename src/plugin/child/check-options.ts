import type { ErrorObject, ValidateFunction } from 'ajv'
import type { StandardResult, StandardSchema } from '#source'
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
  const { issues, value } = await judge(schema, options)
  if (issues === undefined && isRecord(value)) return value
  if (issues === undefined) throw new Error('DragonflyPluginOptions makes no object of the options')
  const reasons = issues.map(({ message, path = [] }) => {
    const keys = path.map((part) => String(typeof part === 'object' ? part.key : part))
    return reason([place, ...keys], message)
  })
  throw wrong(place, reasons)
}

async function judge(schema: StandardSchema, options: Record<string, unknown>): Promise<StandardResult> {
  try {
    return await schema['~standard'].validate(options)
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
    (validate.errors ?? []).map((error) => tell(error, schema, place)),
  )
}

async function compile(schema: Record<string, unknown>): Promise<ValidateFunction> {
  const settings = { allErrors: true, useDefaults: true, coerceTypes: true, strict: false, logger: false } as const
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
  { instancePath, keyword, params, message = 'is wrong' }: ErrorObject,
  schema: object,
  place: string,
): string {
  const inner = instancePath
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  const keys = [place, ...inner]
  const named = params as { missingProperty?: string; additionalProperty?: string; allowedValues?: unknown[] }
  if (named.missingProperty !== undefined) return reason([...keys, named.missingProperty], 'is missing')
  if (named.additionalProperty !== undefined) {
    const known = inner.length === 0 && 'properties' in schema ? Object.keys(Object(schema.properties) as object) : []
    const hint = known.length > 0 ? `; known: ${known.join(', ')}` : ''
    return reason([...keys, named.additionalProperty], `there is no such option${hint}`)
  }
  if (keyword === 'enum') return reason(keys, `must be one of ${(named.allowedValues ?? []).map(String).join(', ')}`)
  return reason(keys, message)
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
