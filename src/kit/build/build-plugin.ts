import { mkdirSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { Failure, makeDirs, messageOf } from '#core'
import { bundle } from './bundle.ts'
import { type Identity, identityOf } from './identity.ts'
import { entryOf, openProject } from './project.ts'
import { type Stamp, stampOf } from './stamp.ts'

export interface BuildRequest {
  /** The project; package.json and the entry are looked for here. */
  readonly dir: string
  /** Where the file goes: `dist` in the project without it. */
  readonly out?: string
  /** Instead of what the name of the package says. */
  readonly scheme?: string
  /** Instead of the author in package.json. */
  readonly vendor?: string
}

export interface BuiltPlugin extends Identity {
  readonly file: string
  readonly bytes: number
  readonly stamp: Stamp
  /** Of the bundler, a line each. */
  readonly warnings: readonly string[]
}

/**
 * Makes one file of a plugin's project: what it imports is inside, what the build knows stands in its metadata. The
 * file appears whole, in the place of an older one, and only when everything went well. Fails with `usage.invalid`,
 * `plugin.broken` or `output.invalid`. Nothing of the plugin is run.
 */
export async function buildPlugin(request: BuildRequest): Promise<BuiltPlugin> {
  const project = await openProject(request.dir)
  const identity = identityOf(project, request.scheme)
  const out = resolve(request.out ?? join(project.dir, 'dist'))
  const file = join(out, identity.fileName)
  const entry = await entryOf(project, file)
  const stamp = await stampOf(project, out, request.vendor)
  const { contents, warnings } = await bundle(project.dir, entry, stamp)
  await putFile(file, contents)
  return { ...identity, file, bytes: contents.length, stamp, warnings }
}

async function putFile(file: string, contents: Uint8Array): Promise<void> {
  const out = resolve(file, '..')
  const draft = join(out, `.${basename(file)}.${process.pid}`)
  try {
    makeDirs(out, (path) => mkdirSync(path))
    await writeFile(draft, contents)
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined)
    throw new Failure('output.invalid', `${file} cannot be written: ${messageOf(error)}`, { cause: error })
  }
}
