import { access, constants, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '#core'
import {
  BUILT_IN_SCHEMES,
  findPlugins,
  type FoundPlugin,
  INSTALL_PREFIX,
  type Installed,
  type PluginDir,
  readInstalled,
  writeInstalled,
} from '#plugin'
import { lockRecord } from './lock-record.ts'

export interface RemoveReport {
  readonly plugin: FoundPlugin
  readonly dir: string
  /** Where it came from, if it was installed. */
  readonly installed?: Installed
  /** What is used in its place from now on. */
  readonly next?: FoundPlugin
}

/**
 * Removes the plugin of a scheme that hosts use (the first one in the directories), with its record. Fails with
 * `usage.invalid` for a scheme without a plugin, with `output.invalid` for a directory that cannot be changed.
 */
export async function removePlugin(scheme: string, dirs: readonly PluginDir[]): Promise<RemoveReport> {
  const name = scheme.toLowerCase()
  const found = (await findPlugins(dirs)).flatMap(({ dir, plugins }) => plugins.map((plugin) => ({ dir, plugin })))
  // An evaluator and a searcher are called by their names; a scheme of that name goes first.
  const named = found.filter(({ plugin }) => plugin.name === name)
  const same = named.filter(({ plugin }) => plugin.type === (named.find(isResource) ?? named[0])?.plugin.type)
  const [first, next] = same
  if (first === undefined) throw notThere(name, dirs)
  const { dir, plugin } = first
  await checkWritable(dir.path, plugin)

  using _lock = await lockRecord(dir.path)
  const record = new Map(await readInstalled(dir.path))
  const installed = record.get(plugin.location)
  await takeAway(dir.path, plugin)
  if (record.delete(plugin.location)) await writeInstalled(dir.path, record)
  return {
    plugin,
    dir: dir.path,
    ...(installed === undefined ? {} : { installed }),
    ...(next === undefined ? {} : { next: next.plugin }),
  }
}

function isResource({ plugin }: { readonly plugin: FoundPlugin }): boolean {
  return plugin.type === 'resource'
}

async function checkWritable(dir: string, { path }: FoundPlugin): Promise<void> {
  try {
    await access(dir, constants.W_OK)
  } catch (error) {
    const message = `${path} cannot be removed: you may not write to ${dir}`
    throw new Failure('output.invalid', message, { cause: error })
  }
}

/** In one step, so that no host finds half of a folder. A link goes, and not what it leads to. */
async function takeAway(dir: string, { path }: FoundPlugin): Promise<void> {
  try {
    const aside = await mkdtemp(join(dir, `${INSTALL_PREFIX}-`))
    try {
      await rename(path, join(aside, 'gone'))
    } finally {
      await rm(aside, { recursive: true, force: true })
    }
  } catch (error) {
    throw new Failure('output.invalid', `${path} cannot be removed: ${messageOf(error)}`, { cause: error })
  }
}

function notThere(name: string, dirs: readonly PluginDir[]): Failure {
  const builtIn = BUILT_IN_SCHEMES.includes(name)
  const why = builtIn ? `${name} is built in and cannot be removed` : `there is no plugin for ${name.slice(0, 100)}`
  return new Failure('usage.invalid', `${why}${builtIn ? '' : ` in ${dirs.map(({ path }) => path).join(', ')}`}`)
}
