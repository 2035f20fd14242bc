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
}

export interface OpenSources extends AsyncDisposable {
  readonly sources: Sources
  readonly plugins: PluginHost
}

/** Every source of this host: the built-in ones, then the plugins, which are looked for when a URL asks for them. */
export function openSources(places: SourcePlaces): OpenSources {
  const { log } = places
  const warn = (message: string): void => log.warn(message)
  const dirs = pluginDirs({ given: places.pluginDirs, workhome: places.workhome })
  const plugins = createPluginHost({
    dirs,
    options: places.plugins,
    policy: places.pluginPolicy,
    warn,
    print: (plugin, line) => log.info({ plugin }, line),
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
