import type { Stats } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '#core'
import type { PluginEntry } from '../entry.ts'

/**
 * A plugin runs as who runs this host: so nobody else may be able to put another one in its place. Its file, its
 * directory and all directories above them must belong to that user or to root, and be writable by nobody else. Fails
 * with `plugin.refused` and the command that mends it.
 */
export async function checkTrust(dir: string, entry: PluginEntry): Promise<void> {
  const uid = process.geteuid?.()
  if (uid === undefined) return
  for (const start of [entry.file, await realpath(dir)]) {
    for (let path = start; ; path = dirname(path)) {
      checkPlace(path, await stat(path), uid)
      if (path === dirname(path)) break
    }
  }
}

const GROUP_WRITES = 0o020
const OTHERS_WRITE = 0o002
const STICKY = 0o1000

function checkPlace(path: string, stats: Stats, uid: number): void {
  if (stats.uid !== uid && stats.uid !== 0) {
    const whose = `${path} belongs to user ${stats.uid}, who could put another plugin there`
    throw new Failure('plugin.refused', `${whose}; make it yours or root's: chown ${uid} ${quoted(path)}`)
  }
  // A sticky directory such as /tmp lets nobody take away what another one put there.
  if (stats.isDirectory() && (stats.mode & STICKY) !== 0) return
  // The group that many systems make for each user, with that user alone in it.
  const ownGroup = stats.gid === stats.uid
  if ((stats.mode & OTHERS_WRITE) !== 0) throw tooOpen(path, 'everybody', 'o-w')
  if ((stats.mode & GROUP_WRITES) !== 0 && !ownGroup) throw tooOpen(path, `group ${stats.gid}`, 'g-w')
}

function tooOpen(path: string, who: string, mode: string): Failure {
  const what = `${path} is writable by ${who}, who could put another plugin there`
  return new Failure('plugin.refused', `${what}; close it: chmod ${mode} ${quoted(path)}`)
}

function quoted(path: string): string {
  return /^[\w/.,@+-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`
}
