import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A directory of one's own that goes away with everything in it. */
export interface TempDir extends AsyncDisposable {
  readonly path: string
  /** A path in it. */
  join(...parts: string[]): string
  /** Every file below it, as paths relative to it. */
  files(): Promise<string[]>
}

/** Makes a directory under the system's temporary one, or under `parent`. Short names: a unix socket's path has at most 107 bytes. */
export async function tempDir(name = 't', parent = tmpdir()): Promise<TempDir> {
  const path = await mkdtemp(join(parent, `dfts-${name}-`))
  return {
    path,
    join: (...parts) => join(path, ...parts),
    files: async () => {
      const entries = await readdir(path, { recursive: true, withFileTypes: true })
      return entries
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
        .sort()
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }),
  }
}
