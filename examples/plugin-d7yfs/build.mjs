// In this repository, where dfget is not installed: builds the plugin with the bundle in dist/. node build.mjs [outdir]
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const here = import.meta.dirname
const [out = join(here, 'dist')] = process.argv.slice(2)
const { status } = spawnSync(
  process.execPath,
  [join(here, '../../bin/dfget'), 'plugin', 'build', here, '--out', out, '--no-check'],
  { stdio: 'inherit', env: { ...process.env, DRAGONFLY_BUILD: 'skip' } },
)
process.exitCode = status ?? 1
