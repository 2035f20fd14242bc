import { mkdirSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure, makeDirs, messageOf } from '#core'
import { INSTALL_PREFIX } from '#plugin'

const STALE_MS = 3_600_000

/** A private directory inside of a plugin directory, gone with everything in it when it is disposed. */
export interface Stage extends AsyncDisposable {
  readonly path: string
}

/**
 * Makes the plugin directory, where it is missing, and a stage in it. What is to be installed is tried out there: in the
 * same file system, so that putting it in its place is one rename, and below the same directories, so that whoever could
 * change the plugin afterwards is found out before. Fails with `output.invalid`.
 */
export async function openStage(dir: string): Promise<Stage> {
  try {
    makeDirs(dir, (path) => mkdirSync(path, { mode: 0o755 }))
    await removeStale(dir)
    const path = await mkdtemp(join(dir, `${INSTALL_PREFIX}-`))
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
  } catch (error) {
    throw new Failure('output.invalid', `plugins cannot be put into ${dir}: ${messageOf(error)}`, { cause: error })
  }
}

/** What an install left behind that was ended in the middle. */
async function removeStale(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.startsWith(`${INSTALL_PREFIX}-`)) continue
    const path = join(dir, name)
    const changedAt = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    )
    if (Date.now() - changedAt > STALE_MS) await rm(path, { recursive: true, force: true })
  }
}
