import { Failure } from '#core'
import type { CheckOptions, LoadedPlugin } from './check.ts'
import { checkPlugin } from './check.ts'
import { locateEntry } from './entry.ts'
import type { FoundPlugin, PluginDir, SearchedDir } from './find.ts'
import { findPlugins } from './find.ts'
import { oneLine, printableJson, thrownMessage } from './one-line.ts'

/** One plugin of a listing. */
export type ListedPlugin = { readonly found: FoundPlugin } & (
  | { readonly state: 'good'; readonly plugin: LoadedPlugin; readonly linkedFile?: string }
  | { readonly state: 'broken'; readonly reason: string }
  /** Nothing of it was run: something else is in its place, or this program has no use for its type. */
  | { readonly state: 'unused'; readonly reason: string }
)

export interface ListedDir extends Omit<SearchedDir, 'plugins'> {
  readonly plugins: readonly ListedPlugin[]
}

export interface RenderedListing {
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  /** 1 when a plugin is broken or a directory that should be searched cannot be. */
  readonly exitCode: 0 | 1
}

/** Loads and checks every plugin of every directory, one after the other. Runs their code. */
export async function listPlugins(how: CheckOptions & { dirs: readonly PluginDir[] }): Promise<ListedDir[]> {
  const listed: ListedDir[] = []
  for (const searched of await findPlugins(how.dirs)) {
    const plugins: ListedPlugin[] = []
    for (const found of searched.plugins) plugins.push(await inspect(found, how))
    listed.push({ ...searched, plugins })
  }
  return listed
}

/** Schemes that the host reads itself; a plugin cannot take them over. */
const BUILT_IN_SCHEMES: readonly string[] = ['file', 'http', 'https']

async function inspect(found: FoundPlugin, how: CheckOptions): Promise<ListedPlugin> {
  if (found.shadowedBy !== undefined) return { found, state: 'unused', reason: `${found.shadowedBy} comes first` }
  if (found.type !== 'resource')
    return { found, state: 'unused', reason: `this version loads no ${found.type} plugins; it was not run` }
  if (BUILT_IN_SCHEMES.includes(found.name))
    return { found, state: 'unused', reason: `${found.name} is built in; the plugin was not run` }
  try {
    const entry = await locateEntry(found)
    const plugin = await checkPlugin(found, entry, how)
    return { found, state: 'good', plugin, ...(entry.outside ? { linkedFile: entry.file } : {}) }
  } catch (error) {
    return { found, state: 'broken', reason: error instanceof Failure ? error.message : thrownMessage(error) }
  }
}

/** The listing as Dragonfly v2.0.2 prints it: good plugins on stdout, everything else on stderr. */
export function renderListing(dirs: readonly ListedDir[]): RenderedListing {
  const stdout: string[] = []
  const stderr: string[] = []
  let exitCode: 0 | 1 = 0
  for (const listed of dirs) {
    stderr.push(`search plugin in ${oneLine(listed.dir.path)}`)
    const problem = problemLine(listed)
    if (problem !== undefined) stderr.push(problem.line)
    for (const { name, folder } of listed.others)
      stderr.push(`${folder ? 'not support directory' : 'not valid plugin name'}: ${oneLine(name)}`)
    for (const plugin of listed.plugins) {
      if (plugin.state === 'good') stdout.push(goodLine(plugin.plugin, plugin.found))
      const remark = remarkLine(plugin)
      if (remark !== undefined) stderr.push(remark)
    }
    if (problem?.wrong || listed.plugins.some(({ state }) => state === 'broken')) exitCode = 1
  }
  return { stdout, stderr, exitCode }
}

function problemLine({ dir, problem }: ListedDir): { line: string; wrong: boolean } | undefined {
  if (problem === undefined) return undefined
  if (problem !== 'missing')
    return { line: `read plugin dir ${oneLine(dir.path)} error: ${oneLine(problem.reason)}`, wrong: true }
  if (!dir.given) return { line: 'no plugin found: the directory does not exist', wrong: false }
  return { line: `read plugin dir ${oneLine(dir.path)} error: it does not exist`, wrong: true }
}

function goodLine({ metadata }: LoadedPlugin, { type, name, location }: FoundPlugin): string {
  return `${type} plugin ${name}, location: ${location}, attribute: ${printableJson(metadata)}`
}

function remarkLine(plugin: ListedPlugin): string | undefined {
  const { type, name, location } = plugin.found
  if (plugin.state === 'broken') return `not valid plugin binary format ${location}: "${plugin.reason}"`
  if (plugin.state === 'unused') return `${type} plugin ${name}, location: ${location}, not used: ${plugin.reason}`
  if (plugin.linkedFile === undefined) return undefined
  return `${type} plugin ${name}, location: ${location}, is a link to ${oneLine(plugin.linkedFile)}`
}
