import { dirname } from 'node:path'
import { Failure, type FailureCode } from '#core'
import type { PluginOptions } from './check.ts'
import { locateEntry, type PluginEntry } from './entry.ts'
import type { FoundPlugin } from './find.ts'
import { type Installed, type InstalledPlugins, readInstalled } from './installed.ts'
import { thrownMessage } from './one-line.ts'
import { type LoadedPlugin, openPlugin } from './open.ts'
import { LackingGrants } from './policy/grants.ts'
import { redactOptions } from './policy/secrets.ts'
import { sha256Of } from './policy/pins.ts'
import type { PluginPolicy } from './settings.ts'

/** Schemes that the host reads itself; a plugin cannot take them over. */
export const BUILT_IN_SCHEMES: readonly string[] = ['http', 'https', 'file']

export interface InspectOptions {
  readonly options: PluginOptions
  readonly policy: PluginPolicy
  warn(message: string): void
}

/** What can be told of a plugin without running it. */
export interface PluginFacts {
  /** The file that is loaded, all links followed; undefined where there is none. */
  readonly file?: string
  /** A link leads out of the plugin directory. */
  readonly linked: boolean
  /** Of that file, in hex. */
  readonly sha256?: string
  /** As configured: secrets hidden, references as they stand. */
  readonly options: unknown
  /** As configured; undefined where nothing is granted. */
  readonly granted?: unknown
  readonly installed?: Installed & { readonly changed: boolean }
}

/** What a plugin said when it was loaded. */
export type GoodPlugin = Pick<LoadedPlugin, 'metadata' | 'methods' | 'hasSchema' | 'enforcement'>

/** One plugin of a listing. */
export type ListedPlugin = { readonly found: FoundPlugin; readonly facts: PluginFacts } & (
  | { readonly state: 'good'; readonly plugin: GoodPlugin }
  /** Broken: mend the plugin. Refused: mend what lies around it (owner, mode, pin, permission, options). */
  | {
      readonly state: 'broken' | 'refused'
      readonly code: FailureCode
      readonly reason: string
      /** Where it is refused for want of grants. */
      readonly lacking?: { readonly declared: unknown; readonly missing: readonly string[] }
    }
  /** Nothing of it was run: something else is in its place. */
  | { readonly state: 'unused'; readonly reason: string }
)

/** Loads a plugin as a host does, and lets go of it again. Never fails. */
export async function inspectPlugin(
  found: FoundPlugin,
  how: InspectOptions,
  installed?: InstalledPlugins,
): Promise<ListedPlugin> {
  const facts = await factsOf(found, how, installed ?? (await readInstalled(dirname(found.path))))
  const reason = whyUnused(found)
  if (reason !== undefined) return { found, facts, state: 'unused', reason }
  try {
    await using plugin = await openPlugin(found, { ...how, warn: (message) => how.warn(message) })
    const { metadata, methods, hasSchema, enforcement } = plugin
    return { found, facts, state: 'good', plugin: { metadata, methods, hasSchema, enforcement } }
  } catch (error) {
    if (!(error instanceof Failure)) {
      return { found, facts, state: 'broken', code: 'plugin.broken', reason: thrownMessage(error) }
    }
    const refused = error.code === 'plugin.refused' || error.code === 'config.invalid'
    const wrong = {
      found,
      facts,
      state: refused ? 'refused' : 'broken',
      code: error.code,
      reason: error.message,
    } as const
    return error.cause instanceof LackingGrants ? { ...wrong, lacking: error.cause } : wrong
  }
}

/** SHA-256 of the file that is loaded for a plugin. Fails with `plugin.broken`. */
export async function hashPlugin(found: FoundPlugin): Promise<string> {
  return sha256Of((await locateEntry(found)).file)
}

function whyUnused({ type, name, shadowedBy }: FoundPlugin): string | undefined {
  if (shadowedBy !== undefined) return `${shadowedBy} comes first`
  if (type === 'resource' && BUILT_IN_SCHEMES.includes(name)) return `${name} is built in; the plugin was not run`
  return undefined
}

async function factsOf(found: FoundPlugin, how: InspectOptions, installed: InstalledPlugins): Promise<PluginFacts> {
  const entry = await locateEntry(found).catch((): PluginEntry | undefined => undefined)
  const sha256 = entry && (await sha256Of(entry.file).catch(() => undefined))
  const before = installed.get(found.location)
  const granted = own(how.policy.grants, found.name)
  return {
    linked: entry?.outside ?? false,
    options: redactOptions(own(how.options, found.name) ?? {}),
    ...(entry === undefined ? {} : { file: entry.file }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(granted === undefined ? {} : { granted }),
    ...(before === undefined ? {} : { installed: { ...before, changed: before.sha256 !== sha256 } }),
  }
}

function own(values: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(values, key) ? values[key] : undefined
}
