import { createPluginLoader, pluginDirs } from '#plugin'
import type { Logger } from '#runtime'
import { builtInSources, createSources, type Sources, type SourceSettings } from '#source'

export interface SourcePlaces {
  readonly sources: SourceSettings
  readonly plugins: Readonly<Record<string, unknown>>
  readonly pluginDirs: readonly string[]
  readonly workhome: string
  readonly log: Logger
}

/** Every source of this host: the built-in ones, then the plugins, which are looked for when a URL asks for them. */
export function openSources(places: SourcePlaces): Sources {
  const warn = (message: string): void => places.log.warn(message)
  const dirs = pluginDirs({ given: places.pluginDirs, workhome: places.workhome })
  const loader = createPluginLoader({ dirs, options: places.plugins, warn })
  return createSources({
    builtIn: builtInSources(places.sources, warn),
    async loadPlugin(scheme) {
      const plugin = await loader.load(scheme)
      return plugin && { client: plugin.client, name: `plugin ${plugin.scheme} (${plugin.file})` }
    },
    searched: () => dirs.map(({ path }) => path),
    settings: places.sources,
    warn,
  })
}
