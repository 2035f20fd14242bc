import { Failure } from '#core'
import { broken } from '../entry.ts'

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
  const given: unknown = Object.hasOwn(grants, scheme) ? grants[scheme] : {}
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

function isWithin(granted: string, path: string): boolean {
  const folder = granted.endsWith('/') ? granted : `${granted}/`
  return path === granted || path.startsWith(folder)
}

type Parsed = { -readonly [K in keyof Omit<Grants, 'all'>]?: Grants[K] }

function parse(given: unknown, wrong: (text: string) => Failure): Parsed {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw wrong(`: ${JSON.stringify(given)} is neither a mapping nor \`all\``)
  const parsed: Parsed = {}
  for (const [name, value] of Object.entries(given)) {
    const list = LISTS.find((known) => known === name)
    const flag = FLAGS.find((known) => known === name)
    if (list !== undefined) parsed[list] = listOf(list, value, wrong)
    else if (flag !== undefined && typeof value === 'boolean') parsed[flag] = value
    else if (flag !== undefined) throw wrong(`.${name}: ${JSON.stringify(value)} is neither true nor false`)
    else throw wrong(`.${name}: there is no such permission; known: ${[...LISTS, ...FLAGS].join(', ')}`)
  }
  return parsed
}

function listOf(name: string, value: unknown, wrong: (text: string) => Failure): readonly string[] {
  const list: readonly unknown[] = typeof value === 'string' ? [value] : Array.isArray(value) ? value : [undefined]
  if (!list.every((entry) => typeof entry === 'string' && entry !== ''))
    throw wrong(`.${name}: ${JSON.stringify(value)} is not a list of texts`)
  const texts = list as readonly string[]
  const relative = name === 'files' || name === 'writes' ? texts.find((path) => !path.startsWith('/')) : undefined
  if (relative !== undefined) throw wrong(`.${name}: ${JSON.stringify(relative)} is no absolute path`)
  return texts
}
