import { copyFile, chmod, mkdir, opendir, readlink, stat, symlink } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { Failure, formatBytes } from '#core'

const MOST_ENTRIES = 20_000

/**
 * Copies a plugin's folder to a path where nothing is yet, with the modes that everything of ours has. Links stay links
 * where they lead to something inside. Fails with `plugin.broken` for what no plugin holds.
 */
export async function copyFolder(from: string, to: string, mostBytes: number): Promise<void> {
  const left = { entries: MOST_ENTRIES, bytes: mostBytes }
  const copy = async (path: string): Promise<void> => {
    await mkdir(join(to, path))
    await chmod(join(to, path), 0o755)
    for await (const entry of await opendir(join(from, path))) {
      const below = join(path, entry.name)
      if (--left.entries < 0) throw bad(from, `holds more than ${MOST_ENTRIES} files`)
      if (entry.isDirectory()) await copy(below)
      else if (entry.isSymbolicLink()) await copyLink(from, to, below)
      else if (entry.isFile()) left.bytes = await copyOne(from, to, below, left.bytes)
      else throw bad(from, `holds ${below}, which is neither a file nor a folder`)
      if (left.bytes < 0) throw bad(from, `is larger than ${formatBytes(mostBytes)}`)
    }
  }
  await copy('.')
}

async function copyOne(from: string, to: string, path: string, leftBytes: number): Promise<number> {
  const { size } = await stat(join(from, path))
  if (size > leftBytes) return -1
  await copyFile(join(from, path), join(to, path))
  await chmod(join(to, path), 0o644)
  return leftBytes - size
}

async function copyLink(from: string, to: string, path: string): Promise<void> {
  const target = await readlink(join(from, path))
  const way = relative(from, resolve(join(from, path), '..', target))
  if (isAbsolute(target) || way === '..' || way.startsWith(`..${sep}`))
    throw bad(from, `holds the link ${path}, which leads out of it`)
  await symlink(target, join(to, path))
}

function bad(folder: string, reason: string): Failure {
  return new Failure('plugin.broken', `the folder ${folder} ${reason}`)
}
