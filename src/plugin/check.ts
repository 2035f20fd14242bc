import satisfies from 'semver/functions/satisfies.js'
import validRange from 'semver/ranges/valid.js'
import { Failure } from '#core'
import { API_VERSION } from '#source'
import type { PluginMetadata } from '#source'
import type { OpenAnswer } from './apart/messages.ts'
import { broken } from './entry.ts'
import type { FoundPlugin } from './find.ts'
import { describe, thrownMessage } from './one-line.ts'

/** What the configuration holds for plugins: `plugins.<scheme>`, a mapping each. */
export type PluginOptions = Readonly<Record<string, unknown>>

const LONGEST_RANGE_CHARS = 256

/** What a plugin says of itself, checked. */
export interface Identity {
  /** As plain data, keys sorted. */
  readonly metadata: PluginMetadata
  readonly methods: readonly string[]
  readonly hasSchema: boolean
}

/** The method without which a plugin of a type is of no use, and what its client then is. */
const INDISPENSABLE = {
  resource: ['download', 'ResourceClient'],
  scheduler: ['evaluate', 'Evaluator'],
  manager: ['findSchedulerCluster', 'Searcher'],
} as const

/**
 * Checks what a plugin said when it was opened: the one way for listing and for use, so that what is listed as good is
 * good in use. Fails with `plugin.broken`; the message is the bare reason.
 */
export function checkIdentity(found: FoundPlugin, answer: OpenAnswer): Identity {
  const metadata = sortedMetadata(answer.metadata)
  checkNames(metadata, found)
  checkApiVersion(metadata.apiVersion)
  const methods = Array.isArray(answer.methods) ? answer.methods.filter((name) => typeof name === 'string') : []
  const [method, kind] = INDISPENSABLE[found.type]
  if (!methods.includes(method))
    throw broken(`invalid client, not ${article(kind)}: expected an object with a function ${method}`)
  return { metadata, methods, hasSchema: answer.hasSchema === true }
}

function article(kind: string): string {
  return /^[AEIOU]/.test(kind) ? `an ${kind}` : `a ${kind}`
}

function sortedMetadata(value: unknown): PluginMetadata {
  if (!isRecord(value)) throw broken(`metadata is ${describe(value)}, expected an object`)
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return checkStrings(Object.fromEntries(entries))
}

const OTHER_KEYS = ['buildCommit', 'buildTime', 'vendor', 'apiVersion'] as const

function checkStrings(metadata: Record<string, unknown>): PluginMetadata {
  // Only a resource plugin has a scheme.
  const needed = metadata.type === 'resource' ? (['type', 'name', 'scheme'] as const) : (['type', 'name'] as const)
  for (const key of [...needed, ...OTHER_KEYS]) {
    const value = metadata[key]
    const optional = OTHER_KEYS.some((other) => other === key)
    if (typeof value !== 'string' && !(optional && value === undefined))
      throw broken(`metadata.${key} is ${describe(value)}, expected a string`)
  }
  return metadata as PluginMetadata
}

/** The file's name is what a scheme is looked up by, so the metadata must say the same. */
function checkNames(metadata: PluginMetadata, found: FoundPlugin): void {
  const wanted = [
    ['type', metadata.type, found.type, 'plugin type not match'],
    ['name', metadata.name.toLowerCase(), found.name, 'plugin name not match'],
  ]
  if (metadata.type === 'resource')
    wanted.push(['scheme', metadata.scheme.toLowerCase(), found.name, 'support scheme not match'])
  for (const [key = '', value, expected, text] of wanted) {
    if (value !== expected) {
      const got = describe(metadata[key])
      throw broken(`${text}: metadata.${key} is ${got}, expected "${expected}" after the file's name`)
    }
  }
}

function checkApiVersion(range: string | undefined): void {
  if (range === undefined) return
  if (range.length > LONGEST_RANGE_CHARS || validRange(range) === null)
    throw broken(`metadata.apiVersion is ${describe(range)}, expected a semver range such as "^${API_VERSION}"`)
  if (!satisfies(API_VERSION, range))
    throw broken(
      `plugin was built with a different version of the contract: metadata.apiVersion is ${describe(range)}, expected a range with ${API_VERSION}`,
    )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The failure of one plugin, named for its file. */
export function asBroken(found: FoundPlugin, error: unknown): Failure {
  const reason = error instanceof Failure ? error.message : thrownMessage(error)
  const code = error instanceof Failure && error.code !== 'internal' ? error.code : 'plugin.broken'
  return new Failure(code, `plugin ${found.path}: ${reason}`, { cause: error })
}
