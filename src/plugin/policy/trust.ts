import type { Stats } from 'node:fs'
import { lstat, opendir, readlink, realpath } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import { Failure } from '#core'
import { broken, type PluginEntry } from '../entry.ts'
import type { FoundPlugin } from '../find.ts'
import { thrownMessage } from '../one-line.ts'
import { shellWord } from './shell-word.ts'

const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
const STICKY = 0o1000
const MOST_LINKS = 40
/** A folder with more in it wants to be bundled into one file. */
const MOST_BELOW = 20_000

/**
 * A plugin runs as who runs this host: so nobody else may be able to put another one in its place. Its file, or its
 * folder with all that is in it, its directory, all directories above them and every link on the way must belong to
 * that user or to root, and be writable by nobody else. Fails with `plugin.refused` and the command that mends it.
 */
export async function checkTrust(found: FoundPlugin, entry: PluginEntry): Promise<void> {
  const uid = process.geteuid?.()
  if (uid === undefined) return
  try {
    const dir = await realpath(dirname(found.path))
    const folder = found.folder ? await realpath(found.path) : undefined
    const isInner = (path: string): boolean =>
      path === dir || (folder !== undefined && (path === folder || path.startsWith(folder + sep)))
    const way = new Way((path, stats) => checkPlace(path, stats, uid, isInner(path)))
    await way.follow(found.path)
    await way.follow(entry.file)
    if (folder !== undefined) await followAll(way, folder)
  } catch (error) {
    throw error instanceof Failure ? error : broken(`it cannot be looked at: ${thrownMessage(error)}`)
  }
}

/** Everything in a folder: any file of it may be loaded. */
async function followAll(way: Way, folder: string): Promise<void> {
  let seen = 0
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (++seen > MOST_BELOW)
      throw new Failure('plugin.refused', `${folder} has more than ${MOST_BELOW} files: bundle the plugin into one`)
    await way.follow(join(entry.parentPath, entry.name)).catch(ignoreMissing)
  }
}

/** A link to nowhere, such as packages leave behind: nothing can be loaded through it. */
function ignoreMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}

/** Everything that a path leads through, each once: directories, links, where the links lead. */
class Way {
  readonly #seen = new Map<string, Stats>()
  readonly #look: (path: string, stats: Stats) => void

  constructor(look: (path: string, stats: Stats) => void) {
    this.#look = look
  }

  async follow(path: string): Promise<void> {
    let at = resolve('/')
    let links = 0
    await this.#lookAt(at)
    const names = resolve(path).split(sep).filter(Boolean)
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      if (name === '..') at = dirname(at)
      if (name === '.' || name === '..') continue
      const next = join(at, name)
      if (!(await this.#lookAt(next)).isSymbolicLink()) {
        at = next
        continue
      }
      if (++links > MOST_LINKS) throw new Error('there are too many links on the way')
      const target = await readlink(next)
      if (target.startsWith(sep)) at = resolve('/')
      names.unshift(...target.split(sep).filter(Boolean))
    }
  }

  async #lookAt(path: string): Promise<Stats> {
    const known = this.#seen.get(path)
    if (known !== undefined) return known
    const stats = await lstat(path)
    this.#look(path, stats)
    this.#seen.set(path, stats)
    return stats
  }
}

function checkPlace(path: string, stats: Stats, uid: number, inner: boolean): void {
  const { mode } = stats
  if (stats.uid !== uid && stats.uid !== 0) {
    const whose = `${path} belongs to user ${stats.uid}, who could put another plugin there`
    throw new Failure('plugin.refused', `${whose}; make it yours or root's: chown ${uid} ${shellWord(path)}`)
  }
  if (stats.isSymbolicLink()) return // whoever may write to its directory may replace it, nobody else
  // Above the plugins' own directory: one such as /tmp lets nobody take away what another one put there.
  if (stats.isDirectory() && (mode & STICKY) !== 0 && !inner) return
  // The group that many systems make for each user, with that user alone in it.
  const ownGroup = stats.gid === stats.uid
  if ((mode & OTHERS_WRITE) !== 0) throw tooOpen(path, stats, 'everybody', 'o-w')
  if ((mode & GROUP_WRITES) !== 0 && !ownGroup) throw tooOpen(path, stats, `group ${stats.gid}`, 'g-w')
}

function tooOpen(path: string, stats: Stats, who: string, change: string): Failure {
  const what = `${path} is writable by ${who}, who could put another plugin there`
  const isShared = stats.isDirectory() && (stats.mode & STICKY) !== 0 // nobody should close /tmp
  const advice = isShared ? 'use a directory of your own' : `close it: chmod ${change} ${shellWord(path)}`
  return new Failure('plugin.refused', `${what}; ${advice}`)
}
