import { posix } from 'node:path'
import { Failure } from '#core'
import { parsePluginName } from '#plugin'

/** A plugin can be where authors put what they publish: in the root, or in the folder that bundlers write to. */
const FOLDERS = ['.', 'dist']

/** True for the paths in a package (below its root) that can be its plugin. */
export function isCandidate(path: string): boolean {
  const name = posix.basename(path)
  return name.endsWith('.mjs') && parsePluginName(name, false) !== undefined
}

/**
 * The plugin of a package: the file that its `main` names, else the only one in its root or in dist/. `paths` are those
 * of its candidates, `manifest` is the text of its package.json. Fails with `plugin.broken`.
 */
export function chooseFile(paths: readonly string[], manifest: string | undefined): string {
  const main = mainOf(manifest)
  const named = paths.find((path) => posix.normalize(path) === main)
  if (named !== undefined) return named
  const found = paths.filter((path) => FOLDERS.includes(posix.dirname(posix.normalize(path))))
  const [only] = found
  if (found.length === 1 && only !== undefined) return only
  if (only === undefined)
    throw bad(
      'holds no plugin: expected d7y-<type>-plugin-<name>.mjs in its root, in dist/, or as main of package.json',
    )
  throw bad(`holds more than one plugin: ${found.slice(0, 5).join(', ')}; install one of these files`)
}

function mainOf(manifest: string | undefined): string | undefined {
  try {
    const values: unknown = JSON.parse(manifest ?? '{}')
    const main = typeof values === 'object' && values !== null && 'main' in values ? values.main : undefined
    return typeof main === 'string' ? posix.normalize(main) : undefined
  } catch {
    return undefined
  }
}

function bad(reason: string): Failure {
  return new Failure('plugin.broken', `the package ${reason}`)
}
