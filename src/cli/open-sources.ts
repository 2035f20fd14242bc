import { createPluginHost, type PluginHost, type PluginPolicy, pluginDirs } from '#plugin'
import type { Logger } from '#runtime'
import { builtInSources, createSources, type Sources, type SourceSettings } from '#source'

export interface SourcePlaces {
  readonly sources: SourceSettings
  readonly plugins: Readonly<Record<string, unknown>>
  readonly pluginPolicy: PluginPolicy
  readonly pluginDirs: readonly string[]
  readonly workhome: string
  readonly log: Logger
  /** Where a line goes that a plugin prints; the log, without it. */
  readonly print?: (plugin: string, line: string) => void
}

export interface OpenSources extends AsyncDisposable {
  readonly sources: Sources
  readonly plugins: PluginHost
}

/** Every source of this host: the built-in ones, then the plugins, which are looked for when a URL asks for them. */
export function openSources(places: SourcePlaces): OpenSources {
  const { log } = places
  const warn = (message: string): void => log.warn(message)
  const toLog = (plugin: string, line: string): void => log.info({ plugin }, line)
  const dirs = pluginDirs({ given: places.pluginDirs, workhome: places.workhome })
  const plugins = createPluginHost({
    dirs,
    options: places.plugins,
    policy: places.pluginPolicy,
    warn,
    print: (plugin, line) => (places.print ?? toLog)(plugin, line),
  })
  const sources = createSources({
    builtIn: builtInSources(places.sources, warn),
    async loadPlugin(scheme) {
      const plugin = await plugins.load(scheme)
      return plugin && { client: plugin.client, name: plugin.name, apart: true }
    },
    searched: () => dirs.map(({ path }) => path),
    settings: places.sources,
    warn,
  })
  return { sources, plugins, [Symbol.asyncDispose]: () => plugins[Symbol.asyncDispose]() }
}
