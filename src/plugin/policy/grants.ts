import { posix } from 'node:path'
import { Failure } from '#core'
import { broken } from '../entry.ts'
import { describe } from '../one-line.ts'
import { ofScheme } from './of-scheme.ts'

/** What an operator lets one plugin use. */
export interface Grants {
  /** Everything, without limits of any kind. */
  readonly all: boolean
  readonly network: readonly string[]
  readonly files: readonly string[]
  readonly writes: readonly string[]
  readonly environment: readonly string[]
  readonly processes: boolean
  readonly addons: boolean
}

const LISTS = ['network', 'files', 'writes', 'environment'] as const
const FLAGS = ['processes', 'addons'] as const
/** Each becomes an argument of the plugin's process. */
const MOST_ENTRIES = 256
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u

/** Why a plugin is refused for want of grants, for who lists it; the refusal itself has the words. */
export class LackingGrants extends Error {
  readonly declared: unknown
  readonly missing: readonly string[]

  constructor(declared: unknown, missing: readonly string[]) {
    super(missing.join(', '))
    this.declared = declared
    this.missing = missing
  }
}

/** The grants of a plugin as configured; nothing without. Fails with `config.invalid` that names the key. */
export function grantsOf(scheme: string, grants: Readonly<Record<string, unknown>>): Grants {
  const key = `pluginPolicy.grants.${scheme}`
  const given = ofScheme(grants, scheme) ?? {}
  const nothing: Grants = {
    all: false,
    network: [],
    files: [],
    writes: [],
    environment: [],
    processes: false,
    addons: false,
  }
  if (given === 'all') return { ...nothing, all: true }
  return { ...nothing, ...parse(given, (text) => new Failure('config.invalid', `${key}${text}`)) }
}

/**
 * What a plugin declares that it needs and was not granted, as flags are written: `files=/etc/x`, `processes=true`. The
 * network needs no grant: nothing could withhold it. Fails with `plugin.broken` for a declaration that is none.
 */
export function missingGrants(declared: unknown, grants: Grants): readonly string[] {
  if (declared === undefined) return []
  const wanted = parse(declared, (text) => broken(`metadata.permissions${text}`))
  if (grants.all) return []
  const files = (wanted.files ?? []).filter((path) => !grants.files.some((granted) => isWithin(granted, path)))
  const writes = (wanted.writes ?? []).filter((path) => !grants.writes.some((granted) => isWithin(granted, path)))
  const names = (wanted.environment ?? []).filter((name) => !grants.environment.some((given) => covers(given, name)))
  return [
    ...files.map((path) => `files=${path}`),
    ...writes.map((path) => `writes=${path}`),
    ...names.map((name) => `environment=${name}`),
    ...FLAGS.filter((flag) => wanted[flag] === true && !grants[flag]).map((flag) => `${flag}=true`),
  ]
}

/** Whether a pattern of names (`AWS_*`) has a name, or another pattern, in it. */
export function covers(pattern: string, name: string): boolean {
  return pattern === name || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1)))
}

/** Whether a granted file, directory or beginning of names (`/srv/data-*`) has a path in it. */
function isWithin(granted: string, path: string): boolean {
  if (granted.endsWith('*')) return path.startsWith(granted.slice(0, -1))
  return path === granted || path.startsWith(granted === '/' ? granted : `${granted}/`)
}

type Parsed = { -readonly [K in keyof Omit<Grants, 'all'>]?: Grants[K] }

function parse(given: unknown, wrong: (text: string) => Failure): Parsed {
  if (given === null || given === undefined) return {}
  if (typeof given !== 'object' || Array.isArray(given))
    throw wrong(`: ${describe(given)} is neither a mapping nor \`all\``)
  const parsed: Parsed = {}
  for (const [name, value] of Object.entries(given)) {
    const list = LISTS.find((known) => known === name)
    const flag = FLAGS.find((known) => known === name)
    if (list !== undefined) parsed[list] = listOf(list, value, (text) => wrong(`.${name}: ${text}`))
    else if (flag !== undefined && typeof value === 'boolean') parsed[flag] = value
    else if (flag !== undefined) throw wrong(`.${name}: ${describe(value)} is neither true nor false`)
    else throw wrong(`: there is no permission ${describe(name)}; known: ${[...LISTS, ...FLAGS].join(', ')}`)
  }
  return parsed
}

function listOf(name: (typeof LISTS)[number], value: unknown, wrong: (text: string) => Failure): readonly string[] {
  const list: unknown = typeof value === 'string' ? [value] : value
  if (!Array.isArray(list)) throw wrong(`${describe(value)} is no list`)
  if (list.length > MOST_ENTRIES) throw wrong(`it has more than ${MOST_ENTRIES} entries`)
  return list.map((entry: unknown) => {
    if (typeof entry !== 'string' || entry === '' || UNPRINTABLE.test(entry))
      throw wrong(`${describe(entry)} is no text of printable characters`)
    const slip = SLIPS[name](entry)
    if (slip !== undefined) throw wrong(`${describe(entry)} ${slip}`)
    return name === 'files' || name === 'writes' ? plainPath(entry) : entry
  })
}

/** What an entry of a list must not be. */
const SLIPS: Readonly<Record<(typeof LISTS)[number], (entry: string) => string | undefined>> = {
  files: slipOfPath,
  writes: slipOfPath,
  environment: (name) => (/^[^=*]*\*?$/.test(name) ? undefined : 'is neither a name nor the beginning of one and a *'),
  network: () => undefined,
}

function slipOfPath(path: string): string | undefined {
  if (!path.startsWith('/')) return 'is no absolute path'
  // Node's permission flags take it for any characters.
  return /\*./.test(path) ? 'has a * that is not at its end' : undefined
}

/** Without `..`, and a directory without what says that all in it is meant: paths can then be told by their texts. */
function plainPath(path: string): string {
  return posix.normalize(path).replace(/(?<=.)\/\*?$/, '')
}
