import { createRequire } from 'node:module'

interface Locking {
  tryLock(file: number): boolean
}

/**
 * Tries to take a lock on an open file, for this file descriptor alone. The kernel gives it up when the descriptor is
 * closed or the process dies, however it dies. Not for network file systems.
 */
export function tryLock(fd: number): boolean {
  // The addon has no types and is loaded when the first lock is taken.
  const locking = createRequire(import.meta.url)('fs-native-extensions') as Locking
  return locking.tryLock(fd)
}
