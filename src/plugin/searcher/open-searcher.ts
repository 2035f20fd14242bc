import { Failure } from '#core'
import { broken } from '../entry.ts'
import type { FoundPlugin } from '../find.ts'
import { describe } from '../one-line.ts'
import { type LoadedPlugin, type OpenOptions, openPlugin } from '../open.ts'
import type { SchedulerCluster, SearchingHost } from '../sdk.ts'

/** A searcher that passed every check, in a process of its own. */
export interface OpenSearcher extends AsyncDisposable {
  readonly plugin: LoadedPlugin
  /**
   * The clusters for a host, best first; none where none will do. Fails with what befell the plugin, with
   * `plugin.broken` for an answer that is none, or an Error with what it threw.
   */
  findSchedulerClusters(
    clusters: readonly SchedulerCluster[],
    host: SearchingHost,
    signal: AbortSignal,
  ): Promise<readonly SchedulerCluster[]>
}

/** Opens and checks a searcher as any plugin. Fails with `plugin.broken`, `plugin.refused` or `config.invalid`. */
export async function openSearcher(found: FoundPlugin, how: OpenOptions): Promise<OpenSearcher> {
  if (found.type !== 'manager') throw new Failure('usage.invalid', `${found.path} is no searcher by its name`)
  const plugin = await openPlugin(found, how)
  return {
    plugin,
    async findSchedulerClusters(clusters, host, signal) {
      return chosen(await plugin.apply('findSchedulerCluster', [clusters, host], signal), clusters)
    },
    [Symbol.asyncDispose]: () => plugin[Symbol.asyncDispose](),
  }
}

/** Ours, by the ids of those it named: what it says of them otherwise does not count. */
function chosen(answer: unknown, clusters: readonly SchedulerCluster[]): readonly SchedulerCluster[] {
  const named: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
  const found = named.slice(0, clusters.length + 1).map((one) => {
    const { id } = Object(one) as { readonly id?: unknown }
    const cluster = clusters.find((each) => each.id === id)
    if (cluster === undefined) throw broken(`findSchedulerCluster named ${describe(id ?? one)}, which it was not given`)
    return cluster
  })
  return [...new Set(found)]
}
