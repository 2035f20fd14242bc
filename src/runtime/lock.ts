import { closeSync, mkdirSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeDirs } from '#core'

const POLL_MS = 20

interface Locking {
  tryLock(file: number): boolean
  unlock(file: number): void
}

/** A lock that this process holds. The kernel gives it up when the process dies, however it dies. */
export interface FileLock extends Disposable {
  readonly path: string
}

/**
 * Locks a file (made when it is not there, and left there), or gives undefined when another process still holds it
 * after `waitMs`. Not for network file systems.
 */
export async function lockFile(
  path: string,
  options: { readonly waitMs: number; readonly signal?: AbortSignal },
): Promise<FileLock | undefined> {
  const locking = loadLocking()
  makeDirs(dirname(path), mkdirSync)
  const file = openSync(path, 'a+', 0o644)
  const giveUpAt = performance.now() + options.waitMs
  try {
    while (!locking.tryLock(file)) {
      if (performance.now() >= giveUpAt) {
        closeSync(file)
        return undefined
      }
      await sleep(POLL_MS, undefined, options.signal === undefined ? {} : { signal: options.signal })
    }
  } catch (error) {
    closeSync(file)
    throw error
  }
  return { path, [Symbol.dispose]: () => closeSync(file) }
}

/** The native addon, loaded when the first lock is taken: most runs of dfget take none. */
function loadLocking(): Locking {
  return createRequire(import.meta.url)('fs-native-extensions') as Locking
}
