import { type Document, isScalar, parseDocument } from 'yaml'
import { Failure } from '#core'
import { checkPlain, isForbidden, isMapping, type Mapping } from './plain-mapping.ts'
import type { PluginFlags } from './plugin-flags.ts'

/** Holds a mapping of the shape of `plugins` in the configuration; counts more than that, and less than flags. */
export const PLUGINS_VARIABLE = 'DRAGONFLY_PLUGINS'

const MOST_KEYS = 32
const LISTS: readonly string[] = ['files', 'writes', 'environment', 'network']
const SWITCHES: readonly string[] = ['processes', 'addons']

/** What plugins are given besides what the configuration file says. */
export interface GivenPlugins {
  /** Options by scheme. */
  readonly options: Mapping
  readonly grants: Mapping
}

/** The settings that say something of single plugins, by scheme in lower case. */
export interface PluginLayer {
  readonly plugins: Mapping
  readonly pluginPolicy: { readonly grants: Mapping; readonly pins: Mapping }
}

/**
 * Options and grants from the environment and the command line; the later counts more, key by key. Fails with
 * `config.invalid` or `usage.invalid`, without a value in the message: it may be a secret.
 */
export function givenPlugins(flags: PluginFlags, env: NodeJS.ProcessEnv): GivenPlugins {
  return {
    options: [fromEnvironment(env), ...flags.pluginOption.map(readOption)].reduce(mergeOptions),
    grants: flags.pluginGrant.map(readGrant).reduce(mergeGrants, {}),
  }
}

/** The same over the values of a configuration file. Fails with `config.invalid` that begins with the key at fault. */
export function pluginLayer(file: unknown, given: GivenPlugins): PluginLayer {
  const values = isMapping(file) ? file : {}
  const policy = isMapping(values['pluginPolicy']) ? values['pluginPolicy'] : {}
  const options = byScheme('plugins', values['plugins'])
  checkOptions('plugins', options)
  return {
    plugins: mergeOptions(options, given.options),
    pluginPolicy: {
      grants: mergeGrants(byScheme('pluginPolicy.grants', policy['grants']), given.grants),
      pins: byScheme('pluginPolicy.pins', policy['pins']),
    },
  }
}

/** `scheme.key=value`; deeper keys with further dots. The value is YAML: `22` is a number, `"22"` a text. */
function readOption(text: string): Mapping {
  const { keys, value } = split('--plugin-option', text, 'scheme.key=value')
  if (keys.length < 2) throw wrong('--plugin-option', text, 'write it as scheme.key=value')
  const option = nested(keys, readYaml('--plugin-option', text, value))
  try {
    checkPlain('plugins', option)
    return option
  } catch (error) {
    throw wrong('--plugin-option', text, error instanceof Failure ? error.message : 'the value cannot be read')
  }
}

/** `scheme.kind=value`, where several of one kind add up, or `scheme=all`. */
function readGrant(text: string): Mapping {
  const flag = '--plugin-grant'
  const { keys, value } = split(flag, text, 'scheme.kind=value, or scheme=all')
  const [scheme = '', kind, ...more] = keys
  if (kind === undefined) {
    if (value === 'all') return { [scheme]: 'all' }
    throw wrong(flag, text, 'write it as scheme.kind=value, or scheme=all')
  }
  if (more.length > 0 || !(LISTS.includes(kind) || SWITCHES.includes(kind)))
    throw wrong(flag, text, `the kind is one of ${[...LISTS, ...SWITCHES].join(', ')}`)
  if (SWITCHES.includes(kind)) {
    if (value === 'true' || value === 'false') return nested(keys, value === 'true')
    throw wrong(flag, text, 'it is true or false')
  }
  const parts = value.split(',').map((part) => part.trim())
  if (parts.includes('')) throw wrong(flag, text, 'a value is missing')
  return nested(keys, parts)
}

function split(flag: string, text: string, form: string): { keys: string[]; value: string } {
  const at = text.indexOf('=')
  const [scheme = '', ...keys] = text.slice(0, Math.max(at, 0)).split('.')
  if (scheme === '' || keys.includes('')) throw wrong(flag, text, `write it as ${form}`)
  const all = [scheme.toLowerCase(), ...keys]
  if (all.length > MOST_KEYS || all.some(isForbidden)) throw wrong(flag, text, 'there can be no such key')
  return { keys: all, value: text.slice(at + 1) }
}

function nested(keys: readonly string[], value: unknown): Mapping {
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Mapping
}

/** The value is left out: it may be a secret. What has no `=` may be one as a whole. */
function wrong(flag: string, text: string, why: string): Failure {
  const name = text.includes('=') ? `${text.slice(0, text.indexOf('='))}=…` : '…'
  return new Failure('usage.invalid', `${flag} ${name}: ${why}`)
}

function readYaml(flag: string, text: string, value: string): unknown {
  const given = value.trim()
  if (given === '') return ''
  const read = plainOf(given, 0)
  if (read === undefined || isCut(read.document, given))
    throw wrong(flag, text, 'the value is no YAML as it stands: put it between quotes, inside those of the shell')
  // A number that cannot be counted is a name made of digits.
  return typeof read.value === 'number' && !isExact(read.value) ? given : read.value
}

/** A password may begin like a comment, a tag or an anchor, and would lose that part without a word. */
function isCut({ contents }: Document, given: string): boolean {
  if (isScalar(contents)) return contents.type === 'PLAIN' && contents.source !== given
  return contents === null
}

function isExact(value: number): boolean {
  return !Number.isInteger(value) || Number.isSafeInteger(value)
}

function fromEnvironment(env: NodeJS.ProcessEnv): Mapping {
  const text = env[PLUGINS_VARIABLE]
  if (text === undefined || text === '') return {}
  const read = plainOf(text, MOST_ALIASES)
  if (read === undefined) throw new Failure('config.invalid', `${PLUGINS_VARIABLE}: it is neither YAML nor JSON`)
  const options = byScheme(PLUGINS_VARIABLE, read.value)
  checkOptions(PLUGINS_VARIABLE, options)
  return options
}

const MOST_ALIASES = 100
/** Its parser calls itself for each level, and dies of thousands. */
const DEEP_YAML = /(?:[[{][^[{]*){1000}|(?:[-?] +){100}/

/** What a YAML text holds; undefined where it is none. The words of its parser can have a secret in them. */
function plainOf(text: string, maxAliasCount: number): { value: unknown; document: Document } | undefined {
  if (DEEP_YAML.test(text)) return undefined
  try {
    const document: Document = parseDocument(text, { logLevel: 'silent' })
    const value: unknown = document.toJS({ maxAliasCount })
    return document.errors.length > 0 ? undefined : { value, document }
  } catch {
    return undefined
  }
}

/** A mapping from schemes, checked; schemes mean the same in capitals. */
function byScheme(key: string, value: unknown): Mapping {
  if (value === undefined || value === null) return {}
  checkPlain(key, value)
  return Object.fromEntries(Object.entries(value).map(([scheme, inner]) => [scheme.toLowerCase(), inner]))
}

function checkOptions(key: string, options: Mapping): void {
  for (const [scheme, inner] of Object.entries(options)) if (inner !== null) checkPlain(`${key}.${scheme}`, inner)
}

/** Mappings are merged key by key; anything else takes the place of what was there. */
function mergeOptions(before: Mapping, later: Mapping): Mapping {
  const merged = { ...before }
  for (const [key, value] of Object.entries(later)) {
    const old = before[key]
    merged[key] = isMapping(value) && isMapping(old) ? mergeOptions(old, value) : value
  }
  return merged
}

/** Grants add up. */
function mergeGrants(before: Mapping, later: Mapping): Mapping {
  const merged = { ...before }
  for (const [scheme, grants] of Object.entries(later)) {
    const old = before[scheme]
    if (old === 'all') continue
    merged[scheme] = isMapping(old) && isMapping(grants) ? addedUp(old, grants) : grants
  }
  return merged
}

function addedUp(old: Mapping, more: Mapping): Mapping {
  const added = Object.entries(more).map(([kind, value]) => {
    const there = typeof old[kind] === 'string' ? [old[kind]] : old[kind]
    return [kind, Array.isArray(there) && Array.isArray(value) ? [...(there as unknown[]), ...value] : value] as const
  })
  return { ...old, ...Object.fromEntries(added) }
}
