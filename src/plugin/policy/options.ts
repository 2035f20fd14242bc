import { Failure } from '#core'
import type { PluginOptions } from '../check.ts'
import { ofScheme } from './of-scheme.ts'
import { mapLeaves } from './option-tree.ts'
import { isReference, isSecretKey, passwordsIn, type SecretPlaces, secretOf } from './secrets.ts'

/**
 * The options of one plugin, secrets filled in: a copy of its own. `secrets` are the values that must not be shown:
 * what references name, what stands under keys such as `password`, and the passwords of URLs. Fails with
 * `config.invalid` that names the key and the reference, never a value.
 */
export async function resolveOptions(
  scheme: string,
  raw: PluginOptions,
  from: SecretPlaces,
): Promise<{ options: Record<string, unknown>; secrets: readonly string[] }> {
  const place = `plugins.${scheme}`
  const given = ofScheme(raw, scheme) ?? {}
  if (typeof given !== 'object' || Array.isArray(given))
    throw new Failure('config.invalid', `${place}: is not a mapping of options`)
  const references = new Map<string, string>()
  const secrets: string[] = []
  mapLeaves(place, given, (value, path) => {
    if (isReference(value)) references.set(value, [place, ...path].join('.'))
    else if (isSecretText(value) && path.some(isSecretKey)) secrets.push(String(value))
    else if (typeof value === 'string') secrets.push(...passwordsIn(value))
  })
  const values = new Map<unknown, string>()
  for (const [reference, key] of references) values.set(reference, await secretOf(key, reference, from))
  const options = mapLeaves(place, given, (value) => values.get(value) ?? value)
  return { options: options as Record<string, unknown>, secrets: [...values.values(), ...secrets] }
}

function isSecretText(value: unknown): value is string | number {
  return (typeof value === 'string' && value !== '') || typeof value === 'number'
}
