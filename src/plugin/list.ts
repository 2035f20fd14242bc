import type { FoundPlugin, PluginDir, SearchedDir } from './find.ts'
import { findPlugins } from './find.ts'
import { type InspectOptions, inspectPlugin, type ListedPlugin } from './inspect.ts'
import { type InstalledPlugins, readInstalled } from './installed.ts'

export interface ListedDir extends Omit<SearchedDir, 'plugins'> {
  readonly plugins: readonly ListedPlugin[]
}

/** Each plugin that is looked into has a process of its own; a directory may hold thousands. */
const AT_ONCE = 4

/** Loads and checks every plugin of every directory, apart from this process and a few at a time. */
export async function listPlugins(how: InspectOptions & { dirs: readonly PluginDir[] }): Promise<ListedDir[]> {
  const searched = await findPlugins(how.dirs)
  const jobs: Job[] = []
  for (const { dir, plugins } of searched) {
    const installed = await readInstalled(dir.path)
    jobs.push(...plugins.map((found) => ({ found, installed })))
  }
  const listed = await inspectAll(jobs, how)
  return searched.map((dir) => ({
    ...dir,
    plugins: dir.plugins.flatMap((found) => listed.get(found) ?? []),
  }))
}

interface Job {
  readonly found: FoundPlugin
  readonly installed: InstalledPlugins
}

async function inspectAll(jobs: readonly Job[], how: InspectOptions): Promise<ReadonlyMap<FoundPlugin, ListedPlugin>> {
  const listed = new Map<FoundPlugin, ListedPlugin>()
  const waiting = jobs[Symbol.iterator]() // shared: each worker takes the next one
  const worker = async (): Promise<void> => {
    for (const { found, installed } of waiting) listed.set(found, await inspectPlugin(found, how, installed))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return listed
}
