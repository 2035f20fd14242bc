import { chmod, lstat, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, messageOf } from '#core'
import {
  BUILT_IN_SCHEMES,
  findPlugins,
  foundAt,
  type FoundPlugin,
  hashPlugin,
  type InspectOptions,
  inspectPlugin,
  type PluginDir,
  readInstalled,
  writeInstalled,
} from '#plugin'
import type { SourceSettings } from '#source'
import { fetchOrigin } from './fetch-origin.ts'
import { lockRecord } from './lock-record.ts'
import { openStage } from './stage.ts'

export interface InstallOrder {
  /** A file, a folder, a URL or an npm package. */
  readonly what: string
  /** Of the plugin's file (of the main module of a folder), in hex. Compared before anything of the plugin is run. */
  readonly sha256?: string | undefined
  /** The plugin directory. */
  readonly dir: string
  /** Puts a plugin there although hosts would not use it, and in the place of one of another kind. */
  readonly force: boolean
}

export interface InstallDeps extends InspectOptions {
  readonly sources: SourceSettings
  readonly env: NodeJS.ProcessEnv
  /** All directories that hosts search, in their order. */
  readonly dirs: readonly PluginDir[]
}

export interface InstallReport {
  readonly plugin: FoundPlugin
  readonly from: string
  readonly sha256: string
  /** SHA-256 of what was there by the same name; the text says so where it cannot be had. */
  readonly replaced?: string
  /** What the operator should know besides. */
  readonly notes: readonly string[]
}

/** From wherever a plugin lies into a plugin directory: fetched, compared, tried out as a host would, put there, noted. */
export async function installPlugin(
  order: InstallOrder,
  deps: InstallDeps,
  signal: AbortSignal,
): Promise<InstallReport> {
  await using stage = await openStage(order.dir)
  const { path, from } = await fetchOrigin(order.what, stage.path, { ...deps, signal, warn: (text) => deps.warn(text) })
  const staged = await foundAt(path)
  await openToRead(staged)
  const sha256 = await hashPlugin(staged)
  checkDigest(staged, sha256, order.sha256)
  const notes = [...plainHttpNote(order), ...(await tryOut(staged, order, deps))]
  signal.throwIfAborted()

  using _lock = await lockRecord(order.dir)
  notes.push(...(await clearOtherKinds(staged, order)))
  const plugin = { ...staged, path: join(order.dir, staged.location) }
  const replaced = await put(staged, plugin, stage.path)
  const record = new Map(await readInstalled(order.dir))
  record.set(plugin.location, { from, sha256, at: new Date().toISOString() })
  await writeInstalled(order.dir, record)
  notes.push(...(await shadowNote(plugin, deps.dirs)))
  return { plugin, from, sha256, notes, ...(replaced === undefined ? {} : { replaced }) }
}

/** Every user of the machine may read a plugin; nobody but its owner may write to it. */
async function openToRead({ path, folder }: FoundPlugin): Promise<void> {
  await chmod(path, folder ? 0o755 : 0o644)
}

function checkDigest({ location }: FoundPlugin, sha256: string, expected: string | undefined): void {
  if (expected === undefined) return
  const wanted = expected.toLowerCase().replace(/^sha256:/, '')
  if (!/^[0-9a-f]{64}$/.test(wanted))
    throw new Failure('usage.invalid', `--sha256 "${expected.slice(0, 100)}" is no SHA-256: it has 64 hex digits`)
  if (sha256 !== wanted)
    throw new Failure('digest.mismatch', `${location} has the SHA-256 ${sha256}, expected ${wanted}`)
}

function plainHttpNote({ what, sha256 }: InstallOrder): string[] {
  if (!/^http:/i.test(what) || sha256 !== undefined) return []
  return ['it came over plain http without --sha256: whoever is on the way could have changed it']
}

/** Loads it apart from this process, as a download would. A plugin that only lacks its options is let through. */
async function tryOut(staged: FoundPlugin, { force }: InstallOrder, deps: InstallDeps): Promise<string[]> {
  if (staged.type === 'resource' && BUILT_IN_SCHEMES.includes(staged.name))
    throw new Failure('usage.invalid', `${staged.name} is built in: a plugin cannot take it over`)
  const listed = await inspectPlugin(staged, deps)
  if (listed.state === 'good') return []
  if (listed.state === 'unused') return [listed.reason]
  if (listed.code === 'config.invalid' && listed.reason.startsWith('plugins.'))
    return [`it cannot be used before its options are right: ${listed.reason}`]
  if (force) return [`it cannot be used as it is: ${listed.reason}`]
  throw new Failure(listed.code, `${staged.location} was not installed: ${listed.reason}`)
}

/** One name, one file: of a `.mjs`, a `.js` and a folder of one name hosts use the first only. */
async function clearOtherKinds(staged: FoundPlugin, { dir, force }: InstallOrder): Promise<string[]> {
  const searched = await findPlugins([{ path: dir, given: true }])
  const others = searched
    .flatMap(({ plugins }) => plugins)
    .filter(({ type, name, location }) => type === staged.type && name === staged.name && location !== staged.location)
  const [first] = others
  if (first !== undefined && !force)
    throw new Failure(
      'plugin.refused',
      `${first.folder ? 'the folder' : 'the file'} ${first.path} is a plugin for ${staged.name} already: remove it first, or give --force to replace it by ${staged.location}`,
    )
  for (const { path } of others) await rm(path, { recursive: true })
  if (others.length === 0) return []
  const record = new Map(await readInstalled(dir))
  for (const { location } of others) record.delete(location)
  await writeInstalled(dir, record)
  return others.map(({ location }) => `${location} was removed: it was of another kind`)
}

/** Puts it in its place in one step. Resolves to the SHA-256 of what was there. */
async function put(staged: FoundPlugin, plugin: FoundPlugin, stage: string): Promise<string | undefined> {
  try {
    const there = await lstat(plugin.path).catch(() => undefined)
    const replaced = there && (await hashPlugin(plugin).catch(() => 'unknown (it cannot be read)'))
    // A folder cannot be renamed onto another one.
    if (there !== undefined && plugin.folder) await rename(plugin.path, join(stage, 'before'))
    await rename(staged.path, plugin.path)
    return replaced
  } catch (error) {
    throw new Failure('output.invalid', `${plugin.path} cannot be written: ${messageOf(error)}`, { cause: error })
  }
}

async function shadowNote(plugin: FoundPlugin, dirs: readonly PluginDir[]): Promise<string[]> {
  const all = (await findPlugins(dirs)).flatMap(({ plugins }) => plugins)
  const used = all.find(({ type, name }) => type === plugin.type && name === plugin.name)
  if (used === undefined) return [`hosts look there only when they are started with --plugin-dir`]
  return used.path === plugin.path ? [] : [`it is not used: ${used.path} comes first`]
}
