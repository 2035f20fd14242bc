import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import satisfies from 'semver/functions/satisfies.js'
import validRange from 'semver/ranges/valid.js'
import { Failure } from '#core'
import { API_VERSION } from '#source'
import type { PluginMetadata, ResourceClient } from '#source'
import type { PluginEntry } from './entry.ts'
import { broken } from './entry.ts'
import type { FoundPlugin } from './find.ts'
import { describe, thrownMessage } from './one-line.ts'

/** How long reading the module may take, and then again its DragonflyPluginInit. */
export const INIT_DEADLINE_MS = 10_000

const LONGEST_METADATA_CHARS = 64 * 1024
const LONGEST_RANGE_CHARS = 256

/** What the configuration holds for plugins: `plugins.<scheme>`, a mapping each. */
export type PluginOptions = Readonly<Record<string, unknown>>

/** A resource plugin that passed every check. */
export interface LoadedPlugin {
  readonly scheme: string
  /** As messages name it: `plugin d7yfs (/path/d7y-resource-plugin-d7yfs.mjs)`. */
  readonly name: string
  readonly client: ResourceClient
  /** As plain data, keys sorted: what the plugin does to its own object later does not show here. */
  readonly metadata: PluginMetadata
  /** Path in the plugin directory. */
  readonly file: string
  /** The state of the file that was loaded; another one on disk means that it was replaced since. */
  readonly stamp: string
}

export interface CheckOptions {
  readonly options: PluginOptions
  readonly deadlineMs?: number
}

/**
 * Loads a resource plugin and checks it: the one way for listing and for use, so that what is listed as good is good
 * in use. Runs the plugin's code. Fails with `plugin.broken`; the message is the bare reason.
 */
export async function checkPlugin(found: FoundPlugin, entry: PluginEntry, how: CheckOptions): Promise<LoadedPlugin> {
  const deadlineMs = how.deadlineMs ?? INIT_DEADLINE_MS
  const options = optionsOf(found.name, how.options)
  const init = initOf(await within(deadlineMs, 'loading the module', importFile(entry)))
  const answer = await within(deadlineMs, 'DragonflyPluginInit', callInit(init, options))
  const metadata = metadataOf(read(answer, 'metadata'))
  checkIdentity(metadata, found)
  checkApiVersion(metadata.apiVersion)
  const client = read(answer, 'client')
  if (!isClient(client)) {
    const got = isObject(client)
      ? `client.download is ${describe(read(client, 'download'))}`
      : `client is ${describe(client)}`
    throw broken(`invalid client, not a ResourceClient: ${got}, expected an object with a function download`)
  }
  const name = `plugin ${found.name} (${found.path})`
  return { scheme: found.name, name, client, metadata, file: found.path, stamp: entry.stamp }
}

/** A copy, so that a plugin cannot reach into the host's settings or another plugin's. */
function optionsOf(scheme: string, all: PluginOptions): Readonly<Record<string, unknown>> {
  const options = Object.hasOwn(all, scheme) ? all[scheme] : {}
  if (!isObject(options) || Array.isArray(options))
    throw broken(`its options in the configuration are ${describe(options)}, expected a mapping`)
  return Object.fromEntries(Object.entries(structuredClone(options)))
}

/** The stamp makes it another module for Node when the file changed. CommonJS is cached by file, whatever the stamp. */
async function importFile(entry: PluginEntry): Promise<unknown> {
  const url = pathToFileURL(entry.file)
  url.search = `?v=${entry.stamp}`
  try {
    delete createRequire(entry.file).cache[entry.file]
    return (await import(url.href)) as unknown
  } catch (error) {
    const advice = isMissingModule(error) ? '; bundle what the plugin needs into its file' : ''
    throw broken(`it cannot be loaded: ${thrownMessage(error)}${advice}`)
  }
}

type Init = (options: Readonly<Record<string, unknown>>) => unknown

/** The named export; for CommonJS that Node could not analyse, and for transpiled modules, it is below `default`. */
function initOf(module: unknown): Init {
  const places = isObject(module) ? [module, read(module, 'default')] : []
  for (const place of places) {
    const init = isObject(place) ? read(place, 'DragonflyPluginInit') : undefined
    if (init === undefined) continue
    if (isFunction(init)) return init
    throw broken(
      `invalid plugin init function signature: DragonflyPluginInit is ${describe(init)}, expected a function`,
    )
  }
  const names = isObject(module) ? Object.keys(module).slice(0, 5).join(', ') : ''
  throw broken(`symbol DragonflyPluginInit not found: the module exports ${names === '' ? 'nothing' : names}`)
}

async function callInit(init: Init, options: Readonly<Record<string, unknown>>): Promise<object> {
  let answer: unknown
  try {
    answer = await init(options)
  } catch (error) {
    throw broken(`DragonflyPluginInit failed: ${thrownMessage(error)}`)
  }
  if (isObject(answer)) return answer
  throw broken(`DragonflyPluginInit returned ${describe(answer)}, expected { client, metadata }`)
}

/** Everything a plugin says of itself, as JSON would hold it. */
function metadataOf(value: unknown): PluginMetadata {
  if (value === undefined || value === null) throw broken('empty plugin metadata: expected type, name and scheme')
  if (!isObject(value) || Array.isArray(value)) throw broken(`metadata is ${describe(value)}, expected an object`)
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw broken(`metadata is not plain data: ${thrownMessage(error)}`)
  }
  if (text === undefined || text.length > LONGEST_METADATA_CHARS)
    throw broken(`metadata is too long, expected at most ${LONGEST_METADATA_CHARS} characters of JSON`)
  const metadata: unknown = JSON.parse(text)
  if (!isObject(metadata)) throw broken(`metadata is ${describe(metadata)}, expected an object`)
  const entries = Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return checkStrings(Object.fromEntries(entries))
}

const NEEDED_KEYS = ['type', 'name', 'scheme'] as const
const OTHER_KEYS = ['buildCommit', 'buildTime', 'vendor', 'apiVersion'] as const

function checkStrings(metadata: Record<string, unknown>): PluginMetadata {
  const { type, name, scheme } = metadata
  for (const key of [...NEEDED_KEYS, ...OTHER_KEYS]) {
    const value = metadata[key]
    const optional = OTHER_KEYS.some((other) => other === key)
    if (typeof value !== 'string' && !(optional && value === undefined))
      throw broken(`metadata.${key} is ${describe(value)}, expected a string`)
  }
  return { ...metadata, type: String(type), name: String(name), scheme: String(scheme) }
}

/** The file's name is what a scheme is looked up by, so the metadata must say the same. */
function checkIdentity(metadata: PluginMetadata, found: FoundPlugin): void {
  const wanted = [
    ['type', metadata.type, found.type, 'plugin type not match'],
    ['name', metadata.name.toLowerCase(), found.name, 'plugin name not match'],
    ['scheme', metadata.scheme.toLowerCase(), found.name, 'support scheme not match'],
  ] as const
  for (const [key, value, expected, text] of wanted) {
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

/** Rejects when `work` takes too long. What it does afterwards is nobody's business any more. */
async function within<T>(deadlineMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(broken(`${what} did not end within ${deadlineMs / 1000} s`)), deadlineMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A property of a plugin's object; reading it can run the plugin's code. */
function read(object: object, key: string): unknown {
  try {
    const value: unknown = Reflect.get(object, key)
    return value
  } catch (error) {
    throw broken(`reading ${key} failed: ${thrownMessage(error)}`)
  }
}

function isClient(value: unknown): value is ResourceClient {
  return isObject(value) && typeof read(value, 'download') === 'function'
}

function isFunction(value: unknown): value is Init {
  return typeof value === 'function'
}

/** Functions are objects too: a class with static methods may be a client. */
function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function isMissingModule(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND')
  )
}

/** The failure of one plugin, named for its file. */
export function asBroken(found: FoundPlugin, error: unknown): Failure {
  const reason = error instanceof Failure ? error.message : thrownMessage(error)
  return new Failure('plugin.broken', `plugin ${found.path}: ${reason}`, { cause: error })
}
