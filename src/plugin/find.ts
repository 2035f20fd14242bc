import { opendir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Failure, messageOf } from '#core'
import { INSTALL_PREFIX } from './installed.ts'

/** Where packages and administrators put plugins for every user of a machine. */
export const SYSTEM_PLUGIN_DIR = '/usr/local/dragonfly/plugins'

/** A directory holds a handful of plugins; more entries than this is some other directory. */
const MOST_ENTRIES = 4096

export type PluginType = 'resource' | 'scheduler' | 'manager'

export interface PluginDir {
  readonly path: string
  /** Named by the user, who then expects it to exist; the others are looked at if they are there. */
  readonly given: boolean
}

/** An entry of a plugin directory whose name says that it is a plugin. Nothing of it was read yet. */
export interface FoundPlugin {
  readonly type: PluginType
  /** Lower case. The URL scheme, for a resource plugin. */
  readonly name: string
  readonly path: string
  /** The bare name of the file or folder, as the listing prints it. */
  readonly location: string
  readonly folder: boolean
  /** Path of the plugin that is used in its place: an earlier one of the same type and name. */
  readonly shadowedBy?: string
}

export interface SearchedDir {
  readonly dir: PluginDir
  /** Why nothing (or not everything) of the directory could be seen. */
  readonly problem?: 'missing' | { readonly reason: string }
  readonly plugins: readonly FoundPlugin[]
  /** Entries that are no plugins, by name. */
  readonly others: readonly { readonly name: string; readonly folder: boolean }[]
}

/** Directories in the order in which they are searched: those given by the user, the working home's, the machine's. */
export function pluginDirs(places: { given?: readonly string[]; workhome: string }): PluginDir[] {
  const dirs = [
    ...(places.given ?? []).map((path) => ({ path: resolve(path), given: true })),
    { path: resolve(places.workhome, 'plugins'), given: false },
    { path: SYSTEM_PLUGIN_DIR, given: false },
  ]
  return dirs.filter((dir, at) => dirs.findIndex((other) => other.path === dir.path) === at)
}

/** `d7y-<type>-plugin-<name>`, and `.mjs` or `.js` behind it for a file. A name is a URL scheme (RFC 3986 §3.1). */
const PLUGIN_NAME = /^d7y-(resource|scheduler|manager)-plugin-([A-Za-z][A-Za-z0-9+.-]*?)(\.mjs|\.js)?$/

/** The names that the other two types can have. */
const ONLY_NAME = { scheduler: 'evaluator', manager: 'searcher' } as const

/** Type and name of a plugin by the name of its file or folder; undefined for what is none. */
export function parsePluginName(entry: string, folder: boolean): { type: PluginType; name: string } | undefined {
  const [, type, spelled, suffix] = PLUGIN_NAME.exec(entry) ?? []
  if (spelled === undefined || (suffix === undefined) !== folder) return undefined
  const name = spelled.toLowerCase()
  if (type === 'resource') return { type, name }
  if (type === 'scheduler' || type === 'manager') return name === ONLY_NAME[type] ? { type, name } : undefined
  return undefined
}

/** True for what can be the scheme of a URL; lower case only. */
export function isScheme(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*$/.test(text)
}

/** All plugins of all directories. For each type and name the first one is used; the others are marked. */
export async function findPlugins(dirs: readonly PluginDir[]): Promise<SearchedDir[]> {
  const used = new Map<string, string>()
  const searched: SearchedDir[] = []
  for (const dir of dirs) {
    const found = await searchDir(dir)
    const plugins = found.plugins.map((plugin): FoundPlugin => {
      const key = `${plugin.type}:${plugin.name}`
      const shadowedBy = used.get(key)
      if (shadowedBy !== undefined) return { ...plugin, shadowedBy }
      used.set(key, plugin.path)
      return plugin
    })
    searched.push({ ...found, plugins })
  }
  return searched
}

async function searchDir(dir: PluginDir): Promise<SearchedDir> {
  const plugins: FoundPlugin[] = []
  const others: { name: string; folder: boolean }[] = []
  let problem: SearchedDir['problem']
  try {
    for (const name of await entryNames(dir.path)) {
      if (name.startsWith(INSTALL_PREFIX)) continue // what `plugin install` keeps there
      const folder = await isFolder(join(dir.path, name))
      const parsed = parsePluginName(name, folder)
      if (parsed === undefined) others.push({ name, folder })
      else plugins.push({ ...parsed, path: join(dir.path, name), location: name, folder })
    }
  } catch (error) {
    problem = isMissing(error) ? 'missing' : { reason: messageOf(error) }
  }
  return { dir, plugins: plugins.toSorted(byName), others, ...(problem === undefined ? {} : { problem }) }
}

async function entryNames(path: string): Promise<string[]> {
  const names: string[] = []
  for await (const entry of await opendir(path)) {
    if (names.length === MOST_ENTRIES)
      throw new Error(`it has more than ${MOST_ENTRIES} entries; a plugin directory holds plugins only`)
    names.push(entry.name)
  }
  return names.toSorted()
}

/** Follows links; a link to nowhere counts as a file, so that checking it can tell what is wrong. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}

/** By name; of several for one name, `.mjs` before `.js` before a folder. */
function byName(a: FoundPlugin, b: FoundPlugin): number {
  return compare(`${a.type}:${a.name}`, `${b.type}:${b.name}`) || rank(a) - rank(b) || compare(a.location, b.location)
}

function rank(plugin: FoundPlugin): number {
  if (plugin.folder) return 2
  return plugin.location.endsWith('.mjs') ? 0 : 1
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** The plugin at a path that a user named. Fails with `usage.invalid` when its name is no plugin's. */
export async function foundAt(path: string): Promise<FoundPlugin> {
  const whole = resolve(path)
  const folder = await isFolder(whole)
  const location = basename(whole)
  const parsed = parsePluginName(location, folder)
  if (parsed !== undefined) return { ...parsed, path: whole, location, folder }
  const expected = 'a plugin is called d7y-resource-plugin-<scheme>.mjs (or .js, or is a folder without an ending)'
  throw new Failure('usage.invalid', `${path} is no plugin by its name: ${expected}`)
}
