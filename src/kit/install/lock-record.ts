import { join } from 'node:path'
import { Failure, messageOf } from '#core'
import { INSTALL_PREFIX } from '#plugin'
import { type FileLock, lockFile } from '#runtime'

const WAIT_MS = 30_000

/** Who changes a plugin directory does so alone. Fails with `output.invalid`. */
export async function lockRecord(dir: string): Promise<FileLock> {
  let lock: FileLock | undefined
  try {
    lock = await lockFile(join(dir, `${INSTALL_PREFIX}.lock`), { waitMs: WAIT_MS })
  } catch (error) {
    throw new Failure('output.invalid', `${dir} cannot be changed: ${messageOf(error)}`, { cause: error })
  }
  if (lock === undefined) throw new Failure('output.invalid', `${dir} cannot be changed: another install works in it`)
  return lock
}
