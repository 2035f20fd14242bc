import { existsSync, mkdirSync } from 'node:fs'
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Failure, makeDirs, messageOf } from '#core'
import { checkedScheme } from '../checked-scheme.ts'
import { installation, PACKAGE_NAME } from '../installation.ts'
import { templateFiles } from './template.ts'

export interface NewPlugin {
  readonly scheme: string
  /** Where the project is now. */
  readonly dir: string
  readonly files: readonly string[]
  /** The installation that its node_modules is linked to. */
  readonly linkedTo: string
  /** False in a checkout where only the programs were built: then editors know no types of the kit. */
  readonly typesThere: boolean
}

/** What may lie in the directory already: a project often begins as an empty repository. */
const IN_NOBODYS_WAY = ['.git']
const MOST_NAMES_TOLD = 3
const TYPES = 'dist/types/source/sdk.d.ts'

/**
 * Writes a plugin project that builds and passes its tests as it stands: all of it, or nothing. Without `dir` it goes
 * into a directory of the plugin's name. Fails with `usage.invalid` or `output.invalid`.
 */
export async function newPlugin(request: { readonly scheme: string; readonly dir?: string }): Promise<NewPlugin> {
  const scheme = checkedScheme(request.scheme)
  const dir = resolve(request.dir ?? `d7y-resource-plugin-${scheme}`)
  const { root, version } = installation()
  const there = await refuseWhatIsInTheWay(dir)
  const files = templateFiles({ scheme, version })
  try {
    await writeProject(dir, there, files, root)
  } catch (error) {
    throw new Failure('output.invalid', `${dir} cannot be written: ${messageOf(error)}`, { cause: error })
  }
  return { scheme, dir, files: Object.keys(files), linkedTo: root, typesThere: existsSync(join(root, TYPES)) }
}

/** True when the directory is there, and empty. */
async function refuseWhatIsInTheWay(dir: string): Promise<boolean> {
  let names: readonly string[]
  try {
    names = await readdir(dir)
  } catch (error) {
    if (Object(error).code === 'ENOENT') return false
    const why = Object(error).code === 'ENOTDIR' ? 'it is no directory' : messageOf(error)
    throw new Failure('usage.invalid', `a project cannot be written to ${dir}: ${why}`, { cause: error })
  }
  const inTheWay = names.filter((name) => !IN_NOBODYS_WAY.includes(name)).toSorted()
  if (inTheWay.length === 0) return true
  const more = inTheWay.length > MOST_NAMES_TOLD ? ` and ${inTheWay.length - MOST_NAMES_TOLD} more` : ''
  const told = `${inTheWay.slice(0, MOST_NAMES_TOLD).join(', ')}${more}`
  throw new Failure('usage.invalid', `${dir} is not empty: ${told} would be in the way; name an empty directory`)
}

/** Everything is made beside its place and moved there at the end. A directory that is there stays the same one. */
async function writeProject(
  dir: string,
  there: boolean,
  files: Readonly<Record<string, string>>,
  root: string,
): Promise<void> {
  const draft = there ? join(dir, `.draft-${process.pid}`) : join(dirname(dir), `.${basename(dir)}-${process.pid}`)
  const moved: string[] = []
  try {
    makeDirs(draft, (path) => mkdirSync(path))
    for (const [name, text] of Object.entries(files)) await writeFile(join(draft, name), text)
    await linkInstallation(join(draft, 'node_modules'), root)
    if (!there) return await rename(draft, dir)
    for (const name of await readdir(draft)) {
      await rename(join(draft, name), join(dir, name))
      moved.push(join(dir, name))
    }
    await rm(draft, { recursive: true })
  } catch (error) {
    for (const path of [draft, ...moved]) await rm(path, { recursive: true, force: true })
    throw error
  }
}

/** As npm would install it, so that build, types and tests work at once, without a network. */
async function linkInstallation(modules: string, root: string): Promise<void> {
  await mkdir(modules)
  await mkdir(join(modules, '.bin'))
  await symlink(root, join(modules, PACKAGE_NAME))
  await symlink(join('..', PACKAGE_NAME, 'bin', 'dfget'), join(modules, '.bin', 'dfget'))
}
