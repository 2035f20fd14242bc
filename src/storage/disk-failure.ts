import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { Failure, formatBytes, messageOf } from '#core'

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** The error's name as the operating system gives it, such as `ENOENT`; empty for any other error. */
export function errnoOf(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

/** What went wrong on disk, as `storage.full` where space lacks, else `storage.failed`. */
export function diskFailure(error: unknown, path: string, doing: string): Failure {
  if (error instanceof Failure) return error
  if (FULL.has(errnoOf(error))) {
    return new Failure('storage.full', `cannot ${doing} ${path}: ${spaceOf(path, errnoOf(error))}`, { cause: error })
  }
  return new Failure('storage.failed', `cannot ${doing} ${path}: ${messageOf(error)}`, { cause: error })
}

/** Runs a step on disk; what it throws comes out as `diskFailure` says. */
export async function onDisk<T>(path: string, doing: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    throw diskFailure(error, path, doing)
  }
}

function spaceOf(path: string, errno: string): string {
  const why = { EDQUOT: 'the quota is used up', EFBIG: 'the file size limit is reached' }[errno] ?? 'no space left'
  try {
    const { bavail, blocks, bsize } = statfsSync(dirname(path))
    return `${why} (${formatBytes(bavail * bsize)} of ${formatBytes(blocks * bsize)} free)`
  } catch {
    return why
  }
}
