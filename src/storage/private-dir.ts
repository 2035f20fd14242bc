import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeSync, ftruncateSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, makeDirs } from '#core'
import { diskFailure } from './disk-failure.ts'
import { tryLock } from './native-lock.ts'

/** Makes the storage directory, for its owner alone, or refuses one that others could write to. */
export function makePrivateDir(dir: string): void {
  try {
    makeDirs(dir, (path) => mkdirSync(path, 0o700))
    const { uid, mode } = statSync(dir)
    const own = process.geteuid?.() ?? uid
    if (uid !== own) throw unsafe(dir, `belongs to user ${uid}, this process runs as ${own}`, `chown it to ${own}`)
    if ((mode & 0o022) !== 0) throw unsafe(dir, 'can be written by other users', `run: chmod 700 ${dir}`)
  } catch (error) {
    throw diskFailure(error, dir, 'use')
  }
}

function unsafe(dir: string, why: string, advice: string): Failure {
  return new Failure(
    'storage.failed',
    `the storage directory ${dir} ${why}; ${advice}, or name another with storage.dir`,
  )
}

/** Takes the directory for this process alone, until it is given back or the process dies. */
export function lockDir(dir: string): Disposable {
  const path = join(dir, 'lock')
  let fd: number | undefined
  try {
    fd = openSync(path, 'a+', 0o600)
    if (!tryLock(fd)) throw new Failure('storage.in_use', `the storage directory ${dir} is in use by ${holderOf(path)}`)
    ftruncateSync(fd)
    writeSync(fd, `${process.pid}\n`)
  } catch (error) {
    if (fd !== undefined) closeSync(fd)
    throw diskFailure(error, dir, 'lock')
  }
  const locked = fd
  return { [Symbol.dispose]: () => closeSync(locked) }
}

function holderOf(path: string): string {
  const pid = readFileSync(path, 'latin1').trim()
  return /^\d{1,10}$/.test(pid) ? `process ${pid}` : 'another process'
}
