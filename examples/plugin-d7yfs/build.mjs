// Bundles index.ts, with every package that it imports, into one file named after the package: node build.mjs [outdir]
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const { name } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const outfile = join(resolve(process.argv[2] ?? join(here, 'dist')), `${name}.mjs`)

await build({
  absWorkingDir: here,
  entryPoints: ['index.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  logLevel: 'warning',
  define: { BUILD_COMMIT: JSON.stringify(commit()), BUILD_TIME: JSON.stringify(now()) },
  // CommonJS packages inside the bundle ask for built-ins with `require`.
  banner: {
    js: "import{createRequire as __requireOfPlugin}from'node:module';const require=__requireOfPlugin(import.meta.url);",
  },
})
console.error(`built ${outfile}`)

function commit() {
  const git = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' })
  return git.status === 0 ? git.stdout.trim() : 'unknown'
}

/** UTC, to the second, as RFC 3339 writes it. */
function now() {
  return `${new Date().toISOString().slice(0, 19)}Z`
}
