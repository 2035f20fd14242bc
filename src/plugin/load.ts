import type { Failure } from '#core'
import type { LoadedPlugin, PluginOptions } from './check.ts'
import { asBroken, checkPlugin } from './check.ts'
import type { PluginEntry } from './entry.ts'
import { locateEntry } from './entry.ts'
import type { FoundPlugin, PluginDir } from './find.ts'
import { findPlugins, isScheme } from './find.ts'

export interface PluginLoader {
  /**
   * The plugin of a scheme, loaded at the first call: calls at the same time share one load. Undefined when no
   * directory has one, which may change at any time. Fails with `plugin.broken`, again and again without running the
   * plugin, until its file changes.
   */
  load(scheme: string): Promise<LoadedPlugin | undefined>
}

export interface PluginLoaderDeps {
  readonly dirs: readonly PluginDir[]
  readonly options: PluginOptions
  /** Told once of each thing an operator should know. */
  warn(message: string): void
  readonly deadlineMs?: number
}

/** A plugin that did not work, and the state of its file then. */
interface BrokenPlugin {
  readonly path: string
  readonly stamp: string
  readonly failure: Failure
}

export function createPluginLoader(deps: PluginLoaderDeps): PluginLoader {
  // All three hold one entry per plugin file at most: a scheme without a file leaves nothing behind.
  const loaded = new Map<string, LoadedPlugin>()
  const failed = new Map<string, BrokenPlugin>()
  const loading = new Map<string, Promise<LoadedPlugin | undefined>>()
  const warn = warnOnce((message) => deps.warn(message))

  async function loadNow(scheme: string): Promise<LoadedPlugin | undefined> {
    const found = await findOne(scheme, deps.dirs, warn)
    if (found === undefined) {
      failed.delete(scheme)
      return undefined
    }
    const entry = await locateEntry(found).catch((error: unknown) => {
      throw asBroken(found, error)
    })
    const before = failed.get(scheme)
    if (before?.path === found.path && before.stamp === entry.stamp) throw before.failure
    const plugin = await check(found, entry)
    failed.delete(scheme)
    loaded.set(scheme, plugin)
    return plugin
  }

  async function check(found: FoundPlugin, entry: PluginEntry): Promise<LoadedPlugin> {
    if (entry.outside) warn(`plugin ${found.path} is a link to ${entry.file}, outside of its plugin directory`)
    try {
      return await checkPlugin(found, entry, deps)
    } catch (error) {
      const failure = asBroken(found, error)
      failed.set(found.name, { path: found.path, stamp: entry.stamp, failure })
      throw failure
    }
  }

  return {
    async load(name) {
      const scheme = name.toLowerCase()
      if (!isScheme(scheme)) return undefined
      const here = loaded.get(scheme)
      if (here !== undefined) return here
      const running = loading.get(scheme) ?? loadNow(scheme).finally(() => loading.delete(scheme))
      loading.set(scheme, running)
      return running
    },
  }
}

async function findOne(
  scheme: string,
  dirs: readonly PluginDir[],
  warn: (message: string) => void,
): Promise<FoundPlugin | undefined> {
  const searched = await findPlugins(dirs)
  for (const { dir, problem } of searched) {
    if (problem === 'missing' && dir.given) warn(`plugin directory ${dir.path} does not exist`)
    if (problem !== undefined && problem !== 'missing')
      warn(`plugin directory ${dir.path} cannot be read: ${problem.reason}`)
  }
  return searched
    .flatMap(({ plugins }) => plugins)
    .find((plugin) => plugin.type === 'resource' && plugin.name === scheme)
}

function warnOnce(warn: (message: string) => void): (message: string) => void {
  const told = new Set<string>()
  return (message) => {
    if (told.has(message)) return
    told.add(message)
    warn(message)
  }
}
