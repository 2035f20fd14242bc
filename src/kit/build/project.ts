import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Failure, messageOf } from '#core'

/** A directory with the source of a plugin. */
export interface Project {
  readonly dir: string
  /** package.json; empty where there is none. */
  readonly manifest: Readonly<Record<string, unknown>>
}

const LARGEST_MANIFEST_BYTES = 2 ** 20

/** Where the source of a plugin begins, when its package.json does not say. */
const USUAL_ENTRIES = ['index.ts', 'index.mts', 'index.js', 'index.mjs', 'src/index.ts', 'src/index.js']

/** Fails with `usage.invalid`. */
export async function openProject(path: string): Promise<Project> {
  const dir = resolve(path)
  const stats = await stat(dir).catch((error: unknown) => {
    throw new Failure('usage.invalid', `there is no project to build in ${dir}: ${messageOf(error)}`)
  })
  if (!stats.isDirectory())
    throw new Failure('usage.invalid', `${dir} is a file: name the directory of the project to build`)
  return { dir, manifest: await readManifest(join(dir, 'package.json')) }
}

async function readManifest(file: string): Promise<Readonly<Record<string, unknown>>> {
  const stats = await stat(file).catch(() => undefined)
  if (stats === undefined) return {}
  try {
    if (stats.size > LARGEST_MANIFEST_BYTES) throw new Error('it is too large')
    const manifest: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (typeof manifest === 'object' && manifest !== null && !Array.isArray(manifest)) return { ...manifest }
    throw new Error('it holds no object')
  } catch (error) {
    throw new Failure('usage.invalid', `${file} cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * The module that the bundle begins with: `source` of package.json, else its `main` unless that is what is being
 * built, else the first of the usual names. Fails with `usage.invalid`.
 */
export async function entryOf({ dir, manifest }: Project, outfile: string): Promise<string> {
  const { source, main } = manifest
  if (typeof source === 'string') {
    if (await isFile(join(dir, source))) return join(dir, source)
    throw new Failure('usage.invalid', `source of ${join(dir, 'package.json')} names ${source}, which is no file`)
  }
  const isBuilt = typeof main !== 'string' || join(dir, main) === outfile
  for (const name of [...(isBuilt ? [] : [main]), ...USUAL_ENTRIES]) {
    if (await isFile(join(dir, name))) return join(dir, name)
  }
  const expected = `expected index.ts, index.js or src/index.ts, or a file that "source" in package.json names`
  throw new Failure('usage.invalid', `there is no plugin to build in ${dir}: ${expected}`)
}

async function isFile(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined)
  return stats?.isFile() ?? false
}
