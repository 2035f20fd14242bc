import type { ErrorObject, ValidateFunction } from 'ajv'
import type { StandardSchema } from '#source'

/**
 * Holds options to the schema that a plugin exports, and gives what the schema makes of them (defaults filled in).
 * Throws an Error that names each wrong key, below `place`, with the reason; no values, which may be secrets.
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
  const result = await schema['~standard'].validate(options)
  if (result.issues !== undefined) {
    const issues = result.issues.map(({ message, path = [] }) => {
      const keys = path.map((part) => String(typeof part === 'object' ? part.key : part))
      return reason([place, ...keys], message)
    })
    throw new Error(issues.join('; '))
  }
  if (!isRecord(result.value)) throw new Error('DragonflyPluginOptions makes no object of the options')
  return result.value
}

async function byJsonSchema(
  schema: Record<string, unknown>,
  options: Record<string, unknown>,
  place: string,
): Promise<Record<string, unknown>> {
  const settings = { allErrors: true, useDefaults: true, coerceTypes: true, strict: false, logger: false } as const
  const is2020 = String(schema['$schema'] ?? '').includes('2020-12')
  const { default: library } = is2020 ? await import('ajv/dist/2020.js') : await import('ajv')
  const checked = structuredClone(options)
  let validate: ValidateFunction
  try {
    validate = new library.default(settings).compile(schema)
  } catch (error) {
    throw new Error(
      `DragonflyPluginOptions is no JSON Schema: ${error instanceof Error ? error.message : 'unreadable'}`,
    )
  }
  if (validate(checked) === true) return checked
  throw new Error((validate.errors ?? []).map((error) => tell(error, schema, place)).join('; '))
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
