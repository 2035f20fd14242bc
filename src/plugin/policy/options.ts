import { Failure } from '#core'
import type { PluginOptions } from '../check.ts'
import { resolveReferences, type SecretPlaces } from './secrets.ts'

/**
 * The options of one plugin, secrets filled in: a copy of its own. `secrets` are the values that must not be shown.
 * Fails with `config.invalid`.
 */
export async function resolveOptions(
  scheme: string,
  raw: PluginOptions,
  from: SecretPlaces,
): Promise<{ options: Record<string, unknown>; secrets: readonly string[] }> {
  const given: unknown = Object.hasOwn(raw, scheme) ? raw[scheme] : {}
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new Failure('config.invalid', `plugins.${scheme}: ${JSON.stringify(given)} is not a mapping`)
  const secrets: string[] = []
  const options = await resolveReferences(`plugins.${scheme}`, given, from, secrets)
  return { options: options as Record<string, unknown>, secrets }
}
