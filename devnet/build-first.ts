import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Before any test: what tests start (programs, and the process that plugins run in) is built from the sources as they are. */
export function setup(): void {
  const launcher = join(import.meta.dirname, '../bin/dfget')
  const { status } = spawnSync(process.execPath, [launcher, 'version'], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error('the build failed')
}
