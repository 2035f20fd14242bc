import { Failure, messageOf } from '#core'

const HIDDEN = '[hidden]'
const SECRET_KEY = /authorization|cookie|passw|passphrase|secret|token|credential|private|api[-_]?key/i
const REFERENCE = /^(?:env:([A-Za-z_][A-Za-z0-9_]*)|file:(\/(?!\/).*))$/
/** Shorter values stand in too many words to be taken out of them. */
const SHORTEST_SCRUBBED_CHARS = 4
const MOST_DEPTH = 32

/** What a reference names: the value of an environment variable, or the text of a file. */
export interface SecretPlaces {
  readonly env: NodeJS.ProcessEnv
  readFile(path: string): Promise<string>
}

export function isReference(value: unknown): value is string {
  return typeof value === 'string' && REFERENCE.test(value)
}

/**
 * The same options with the values that references name. `secrets` are all of those values. Fails with
 * `config.invalid` that names the key and the reference, never a value.
 */
export async function resolveReferences(
  key: string,
  value: unknown,
  places: SecretPlaces,
  secrets: string[],
): Promise<unknown> {
  if (isReference(value)) {
    const secret = await valueOf(key, value, places)
    secrets.push(secret)
    return secret
  }
  if (typeof value === 'string' && SECRET_KEY.test(key.slice(key.lastIndexOf('.') + 1))) secrets.push(value)
  if (typeof value !== 'object' || value === null) return value
  if (key.split('.').length > MOST_DEPTH) throw new Failure('config.invalid', `${key}: is nested too deep`)
  const entries = await Promise.all(
    Object.entries(value).map(async ([name, inner]) => {
      return [name, await resolveReferences(`${key}.${name}`, inner, places, secrets)] as const
    }),
  )
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)
}

async function valueOf(key: string, reference: string, places: SecretPlaces): Promise<string> {
  const [, variable, path = ''] = REFERENCE.exec(reference) ?? []
  if (variable !== undefined) {
    const value = places.env[variable]
    if (value === undefined || value === '')
      throw new Failure('config.invalid', `${key}: ${reference} names an environment variable that is not set`)
    return value
  }
  try {
    return (await places.readFile(path)).replace(/\r?\n$/, '')
  } catch (error) {
    throw new Failure('config.invalid', `${key}: ${reference} cannot be read: ${messageOf(error)}`)
  }
}

/** Options as a listing may show them: references as they stand, other values under secret-looking keys hidden. */
export function redactOptions(raw: unknown): unknown {
  return redact('', raw, 0)
}

function redact(key: string, value: unknown, depth: number): unknown {
  if (isReference(value)) return value
  if (value !== null && value !== undefined && SECRET_KEY.test(key)) return HIDDEN
  if (typeof value !== 'object' || value === null) return value
  if (depth > MOST_DEPTH) return HIDDEN
  if (Array.isArray(value)) return value.map((inner) => redact(key, inner, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, redact(name, inner, depth + 1)]))
}

/** A text of the plugin's without the secrets that it was given, line by line where a secret has several. */
export function scrub(text: string, secrets: readonly string[]): string {
  const parts = secrets.flatMap((secret) => [secret, ...secret.split(/\r?\n/)])
  return parts
    .filter((part) => part.length >= SHORTEST_SCRUBBED_CHARS)
    .toSorted((a, b) => b.length - a.length)
    .reduce((cleaned, part) => cleaned.replaceAll(part, HIDDEN), text)
}
