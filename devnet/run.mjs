// Runs a TypeScript file of devnet/ or bench/ on any Node that the product runs on: node devnet/run.mjs FILE ARGS…
import { spawnSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [file = '', ...args] = process.argv.slice(2)
// The launcher installs and builds where that is still to be done.
const ready = spawnSync(process.execPath, [join(root, 'bin', 'dfget'), 'version'], { stdio: ['ignore', 'ignore', 2] })
if (ready.status !== 0) process.exit(1)

const { build } = await import('esbuild')
const outfile = join(root, 'node_modules', '.cache', 'dragonfly-ts', `${file.replaceAll(/\W+/g, '-')}.mjs`)
await build({
  absWorkingDir: root,
  entryPoints: [file],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  packages: 'external',
  logLevel: 'error',
})
// What plugins and threads run lies beside the program that starts them.
for (const name of ['plugin-child.mjs', 'digest-thread.mjs']) {
  copyFileSync(join(root, 'dist', name), join(dirname(outfile), name))
}
process.argv.splice(1, process.argv.length, file, ...args)
await import(pathToFileURL(outfile).href)
