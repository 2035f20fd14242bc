import { parseDocument } from 'yaml'
import { Failure, messageOf } from '#core'
import type { PluginFlags } from './plugin-flags.ts'

/** Holds a mapping of the shape of `plugins` in the configuration; counts more than that, and less than flags. */
export const PLUGINS_VARIABLE = 'DRAGONFLY_PLUGINS'

const MOST_DEPTH = 32
const LISTS: readonly string[] = ['files', 'writes', 'environment', 'network']
/** Keys that would reach into every object. */
const FORBIDDEN: readonly string[] = ['__proto__', 'constructor', 'prototype']

type Mapping = Record<string, unknown>

/** Options and grants from a configuration file's values, the environment and flags; the later counts more, key by key. */
export function pluginLayer(
  file: unknown,
  flags: PluginFlags,
  env: NodeJS.ProcessEnv,
): { readonly plugins: unknown; readonly grants: unknown } {
  const values = asMapping(file)
  const options = flags.pluginOption.map(readOption)
  const grants = flags.pluginGrant.map(readGrant)
  return {
    plugins: merged([values['plugins'], fromEnvironment(env), ...options]),
    grants: merged([asMapping(values['pluginPolicy'])['grants'], ...grants]),
  }
}

/** `scheme.key=value`; deeper keys with further dots. The value is YAML: `22` is a number, `"22"` a text. */
function readOption(text: string): Mapping {
  const { keys, value } = split('--plugin-option', text, 'scheme.key=value')
  if (keys.length < 2) throw wrong('--plugin-option', text, 'write it as scheme.key=value')
  return nested(keys, readYaml('--plugin-option', text, value))
}

/** `scheme.kind=value`, where several of one kind add up, or `scheme=all`. */
function readGrant(text: string): Mapping {
  const { keys, value } = split('--plugin-grant', text, 'scheme.kind=value, or scheme=all')
  const [scheme = '', kind, ...more] = keys
  if (kind === undefined) {
    if (value === 'all') return { [scheme]: 'all' }
    throw wrong('--plugin-grant', text, 'write it as scheme.kind=value, or scheme=all')
  }
  if (more.length > 0) throw wrong('--plugin-grant', text, 'there is one kind: files, writes, environment …')
  if (LISTS.includes(kind)) return nested(keys, value.split(','))
  return nested(keys, readYaml('--plugin-grant', text, value))
}

function split(flag: string, text: string, form: string): { keys: string[]; value: string } {
  const at = text.indexOf('=')
  const keys = text.slice(0, Math.max(at, 0)).split('.')
  if (at < 1 || keys.includes('')) throw wrong(flag, text, `write it as ${form}`)
  if (keys.length > MOST_DEPTH || keys.some((key) => FORBIDDEN.includes(key)))
    throw wrong(flag, text, 'there can be no such key')
  return { keys: [keys[0]!.toLowerCase(), ...keys.slice(1)], value: text.slice(at + 1) }
}

function nested(keys: readonly string[], value: unknown): Mapping {
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Mapping
}

/** The value is left out of messages: it may be a secret. */
function wrong(flag: string, text: string, why: string): Failure {
  const name = text.includes('=') ? `${text.slice(0, text.indexOf('='))}=…` : '…'
  return new Failure('usage.invalid', `${flag} ${name}: ${why}`)
}

function readYaml(flag: string, text: string, value: string): unknown {
  const document = parseDocument(value)
  const [mistake] = document.errors
  if (mistake !== undefined) throw wrong(flag, text, 'the value is no YAML; put it between quotes')
  const read: unknown = document.toJS({ maxAliasCount: 0 })
  return read ?? ''
}

function fromEnvironment(env: NodeJS.ProcessEnv): unknown {
  const text = env[PLUGINS_VARIABLE]
  if (text === undefined || text === '') return {}
  try {
    const document = parseDocument(text)
    if (document.errors.length > 0) throw new Error('it is neither YAML nor JSON')
    const values: unknown = document.toJS({ maxAliasCount: 100 })
    if (values !== null && typeof values === 'object' && !Array.isArray(values)) return values
    throw new Error('it holds no mapping of schemes to options')
  } catch (error) {
    throw new Failure('config.invalid', `the environment variable ${PLUGINS_VARIABLE}: ${messageOf(error)}`)
  }
}

/** What is no mapping in a file is told by who reads the settings. */
function merged([file, ...layers]: readonly unknown[]): unknown {
  if (file !== undefined && file !== null && !isMapping(file)) return file
  return [file, ...layers].reduce<Mapping>(merge, {})
}

/** Mappings are merged key by key, lists of grants add up; anything else replaces what was there. */
function merge(before: Mapping, layer: unknown): Mapping {
  const merged: Mapping = { ...before }
  for (const [key, value] of Object.entries(asMapping(layer))) {
    if (FORBIDDEN.includes(key)) continue
    const old = Object.hasOwn(merged, key) ? merged[key] : undefined
    if (isMapping(value) && isMapping(old)) merged[key] = merge(old, value)
    else if (Array.isArray(value) && Array.isArray(old)) merged[key] = [...(old as unknown[]), ...(value as unknown[])]
    else merged[key] = isMapping(value) ? merge({}, value) : value
  }
  return merged
}

function asMapping(value: unknown): Mapping {
  return isMapping(value) ? value : {}
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
