import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { Failure, formatBytes } from '#core'
import type { FoundPlugin } from './find.ts'
import { describe, oneLine, thrownMessage } from './one-line.ts'

/** A bundled plugin has a few MiB; what is larger is no program, and reading it could fill the memory. */
const LARGEST_MODULE_BYTES = 64 * 2 ** 20
const LARGEST_MANIFEST_BYTES = 2 ** 20

/** The file that is imported for a plugin, as it stands on disk now. */
export interface PluginEntry {
  /** Real path, all links followed. */
  readonly file: string
  /** Another one as soon as the file (or, for a folder, its package.json) was written to or replaced. */
  readonly stamp: string
  /** True when a link leads out of the plugin directory. */
  readonly outside: boolean
}

/** A `plugin.broken` whose message is the bare reason, in one line; who reports it names the file. */
export function broken(reason: string): Failure {
  return new Failure('plugin.broken', oneLine(reason))
}

/** Finds the module of a plugin. Fails with `plugin.broken`. */
export async function locateEntry(found: FoundPlugin): Promise<PluginEntry> {
  try {
    const real = await realpath(found.path)
    const outside = !isBelow(await realpath(dirname(found.path)), real)
    if (!found.folder) return { file: real, stamp: await stampOf(real, LARGEST_MODULE_BYTES), outside }
    const manifest = join(real, 'package.json')
    const manifestStamp = await stampOf(manifest, LARGEST_MANIFEST_BYTES)
    const file = await mainFile(real, await readFile(manifest, 'utf8'))
    return { file, stamp: `${await stampOf(file, LARGEST_MODULE_BYTES)}-${manifestStamp}`, outside }
  } catch (error) {
    throw error instanceof Failure ? error : broken(`it cannot be read: ${thrownMessage(error)}`)
  }
}

async function mainFile(folder: string, manifest: string): Promise<string> {
  const target = mainOf(parseManifest(manifest))
  const path = join(folder, target)
  const file = await realpath(path).catch(() => {
    throw broken(`package.json names ${describe(target)}, which is not there`)
  })
  if (!isBelow(folder, file)) throw broken(`package.json names ${describe(target)}, which lies outside the folder`)
  return file
}

function parseManifest(text: string): Record<string, unknown> {
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch (error) {
    throw broken(`package.json is not JSON: ${thrownMessage(error)}`)
  }
  if (!isRecord(manifest)) throw broken(`package.json holds ${describe(manifest)}, expected an object`)
  return manifest
}

/** The main module as Node would choose it for an import of the package: `exports` before `main` before index.js. */
function mainOf(manifest: Record<string, unknown>): string {
  if (manifest.exports === undefined || manifest.exports === null) {
    return typeof manifest.main === 'string' && manifest.main !== '' ? manifest.main : 'index.js'
  }
  const { exports } = manifest
  const target = targetOf(isRecord(exports) && '.' in exports ? exports['.'] : exports, 0)
  if (target === undefined) throw broken('package.json: exports names no file for an import of the package itself')
  return target
}

const CONDITIONS = ['node', 'import', 'module-sync', 'default', 'require']

function targetOf(target: unknown, depth: number): string | undefined {
  if (typeof target === 'string') return target
  if (!isRecord(target) || depth > 8) return undefined
  for (const [condition, inner] of Object.entries(target)) {
    const found = CONDITIONS.includes(condition) ? targetOf(inner, depth + 1) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

async function stampOf(file: string, largestBytes: number): Promise<string> {
  const stats = await stat(file, { bigint: true })
  if (!stats.isFile()) throw broken('it is not a regular file')
  if (stats.size > largestBytes)
    throw broken(`it is ${formatBytes(Number(stats.size))} large, expected at most ${formatBytes(largestBytes)}`)
  return `${stats.mtimeNs}-${stats.size}-${stats.ino}`
}

function isBelow(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
