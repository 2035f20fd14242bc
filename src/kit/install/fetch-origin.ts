import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join, posix } from 'node:path'
import { Failure, formatBytes, messageOf } from '#core'
import { parsePluginName } from '#plugin'
import { redactUrl, type SourceSettings } from '#source'
import { chooseFile, isCandidate } from './choose-file.ts'
import { copyFolder } from './copy-folder.ts'
import { downloadFile } from './download-file.ts'
import { packFromNpm } from './npm-pack.ts'
import { parseOrigin } from './origin.ts'
import { readTarball } from './read-tarball.ts'

/** As much as a host loads of one plugin. */
export const LARGEST_PLUGIN_BYTES = 64 * 2 ** 20
const LARGEST_MANIFEST_BYTES = 2 ** 20

/** A plugin that was fetched: nothing of it was run, and nothing but its name was looked at. */
export interface Fetched {
  /** Its file or folder, by a name that a plugin has, in the directory it was fetched into. */
  readonly path: string
  /** Where it came from, as it may be shown and kept. */
  readonly from: string
}

export interface FetchOptions {
  readonly sources: SourceSettings
  /** Of the program that is run to fetch packages. */
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  warn(message: string): void
}

/** Fetches a file, a folder, a URL or a package into the private directory `into`. */
export async function fetchOrigin(what: string, into: string, options: FetchOptions): Promise<Fetched> {
  const origin = parseOrigin(what)
  switch (origin.kind) {
    case 'path':
      return fromPath(origin.path, into)
    case 'url':
      return fromUrl(origin.url, into, options)
    case 'npm': {
      const dir = join(into, 'npm')
      await mkdir(dir, { mode: 0o700 })
      const { file, id } = await packFromNpm(origin.spec, dir, options)
      return { path: await fromTarball(file, into), from: `npm ${id}` }
    }
  }
}

async function fromPath(path: string, into: string): Promise<Fetched> {
  const name = basename(path)
  try {
    const stats = await stat(path)
    if (stats.isDirectory()) {
      if (parsePluginName(name, true) === undefined) return await fromPackage(path, into)
      await copyFolder(path, join(into, name), LARGEST_PLUGIN_BYTES)
      return { path: join(into, name), from: path }
    }
    if (!stats.isFile()) throw new Failure('usage.invalid', `${path} is no regular file`)
    if (isTarball(name)) return { path: await fromTarball(path, into), from: path }
    checkName(name, path)
    if (stats.size > LARGEST_PLUGIN_BYTES) throw tooLarge(path)
    await copyFile(path, join(into, name))
    return { path: join(into, name), from: path }
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure('usage.invalid', `${path} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

/** A folder that is an unpacked package, such as the project of a plugin after its build. */
async function fromPackage(path: string, into: string): Promise<Fetched> {
  const inRoot = await readdir(path)
  const inDist = await readdir(join(path, 'dist')).catch(() => [])
  const manifest = await readManifest(join(path, 'package.json'))
  const main = mainFolder(manifest)
  const inMain = main === undefined ? [] : await readdir(join(path, main)).catch(() => [])
  const all = [...inRoot, ...inDist.map((name) => `dist/${name}`), ...inMain.map((name) => `${main}/${name}`)]
  const chosen = chooseFile([...new Set(all.filter(isCandidate))], manifest)
  return fromPath(join(path, chosen), into)
}

/** The folder of the file that `main` names, where it is a folder below; the two that are looked into anyway aside. */
function mainFolder(manifest: string | undefined): string | undefined {
  const [, main] = /"main"\s*:\s*"([^"\\]+)"/.exec(manifest ?? '') ?? []
  const folder = main === undefined ? '.' : posix.dirname(posix.normalize(main))
  return folder === '.' || folder === 'dist' || folder.startsWith('..') || folder.startsWith('/') ? undefined : folder
}

async function readManifest(path: string): Promise<string | undefined> {
  const size = await stat(path).then(
    (stats) => (stats.isFile() ? stats.size : Infinity),
    () => Infinity,
  )
  return size <= LARGEST_MANIFEST_BYTES ? readFile(path, 'utf8') : undefined
}

async function fromUrl(url: string, into: string, options: FetchOptions): Promise<Fetched> {
  const name = lastPart(url)
  const from = redactUrl(url)
  if (!isTarball(name)) checkName(name, from)
  const { sources: settings, signal } = options
  const warn = (message: string): void => options.warn(message)
  const bytes = await downloadFile(url, { settings, signal, warn, mostBytes: LARGEST_PLUGIN_BYTES })
  const path = join(into, isTarball(name) ? 'package.tgz' : name)
  await writeFile(path, bytes, { flag: 'wx' })
  return { path: isTarball(name) ? await fromTarball(path, into) : path, from }
}

/** The name that a URL's path ends with. */
function lastPart(url: string): string {
  const part = posix.basename(new URL(url).pathname)
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Takes the plugin out of the archive of a package, whose paths all begin with one folder of any name. */
async function fromTarball(file: string, into: string): Promise<string> {
  const { size } = await stat(file)
  if (size > LARGEST_PLUGIN_BYTES) throw tooLarge(file)
  const below = (path: string): string => path.slice(path.indexOf('/') + 1)
  const isManifest = (path: string): boolean => below(path) === 'package.json'
  const files = await readTarball(file, (path) => isManifest(path) || isCandidate(below(path)))
  const manifest = files.find(({ path }) => isManifest(path))?.content.toString('utf8')
  const byPath = new Map(
    files.filter(({ path }) => !isManifest(path)).map(({ path, content }) => [below(path), content]),
  )
  const chosen = chooseFile([...byPath.keys()], manifest)
  const path = join(into, posix.basename(chosen))
  await writeFile(path, byPath.get(chosen) ?? '', { flag: 'wx' })
  return path
}

function isTarball(name: string): boolean {
  return name.endsWith('.tgz') || name.endsWith('.tar.gz')
}

function checkName(name: string, from: string): void {
  if (parsePluginName(name, false) !== undefined) return
  const expected = 'd7y-resource-plugin-<scheme>.mjs, or a package (.tgz) with such a file'
  throw new Failure('usage.invalid', `${from} is no plugin by its name, expected ${expected}`)
}

function tooLarge(path: string): Failure {
  return new Failure('plugin.broken', `${path} is larger than ${formatBytes(LARGEST_PLUGIN_BYTES)}: that is no plugin`)
}
