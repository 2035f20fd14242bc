// Makes dist/: the bundle of the four programs, and the kit for plugin authors (`dragonfly-ts/source`).
//   --quick  leaves out what only publishing needs (the type declarations)
import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const quick = process.argv.includes('--quick')
const startedAt = new Date()

/** Addons come as compiled files of their own; vitest is the plugin author's. */
const EXTERNAL = ['@napi-rs/blake-hash', '@node-rs/crc32', 'fs-native-extensions', 'esbuild', 'vitest']

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  external: EXTERNAL,
  write: false,
  metafile: true,
  logLevel: 'error',
  define: {
    __DRAGONFLY_VERSION__: JSON.stringify(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version),
    __DRAGONFLY_COMMIT__: JSON.stringify(commit()),
  },
}

const programs = await build({
  ...shared,
  entryPoints: ['src/cli/main.ts'],
  outfile: 'dist/main.cjs',
  format: 'cjs',
  define: { ...shared.define, 'import.meta.url': '__bundleUrl' },
  banner: { js: "const __bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
})
const text = programs.outputFiles[0].text
const id = createHash('sha256').update(text).digest('hex').slice(0, 16)

mkdirSync(dist, { recursive: true })
const kit = await buildKit()
for (const { path, text } of kit.files) put(path, text)
put(join(dist, 'main.cjs'), `// build ${id}\n${text}`)
for (const name of readdirSync(dist)) {
  if (/^main-.*\.v8/.test(name) && !name.startsWith(`main-${id}-`)) rmSync(join(dist, name), { force: true })
}
if (!quick) await buildTypes()
const inputs = [...Object.keys(programs.metafile.inputs), ...kit.inputs, 'package.json', 'scripts/build.mjs']
const own = [...new Set(inputs)].filter((input) => !input.includes('node_modules/')).sort()
put(join(dist, 'inputs.txt'), own.join('\n'))
utimesSync(join(dist, 'inputs.txt'), startedAt, startedAt)
warmUp()

/** The kit for plugin authors: ES modules, because plugins are. */
async function buildKit() {
  const entries = [
    ['source', 'src/source/sdk.ts'],
    ['source-testing', 'src/source/testing.ts'],
  ].filter(([, file]) => existsSync(join(root, file)))
  if (entries.length === 0) return { files: [], inputs: [] }
  const result = await build({
    ...shared,
    entryPoints: Object.fromEntries(entries),
    outdir: 'dist',
    outExtension: { '.js': '.mjs' },
    format: 'esm',
    splitting: true,
    chunkNames: 'source-[hash]',
  })
  return { files: result.outputFiles, inputs: Object.keys(result.metafile.inputs) }
}

/** Runs the bundle once, so that V8's compiled code lies beside it before anyone waits for it. */
function warmUp() {
  const env = { ...process.env, DRAGONFLY_BUILD: 'skip' }
  spawnSync(process.execPath, [join(root, 'bin', 'dfget'), 'version'], { env, stdio: 'ignore' })
}

async function buildTypes() {
  const { types } = await import(pathToFileURL(join(root, 'scripts', 'types.mjs')).href)
  await types(root)
}

function commit() {
  const git = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: root, encoding: 'utf8' })
  return git.status === 0 ? git.stdout.trim() : ''
}

/** Whoever runs the file that was there goes on undisturbed. */
function put(path, text) {
  const draft = join(dirname(path), `.${relative(dirname(path), path)}.${process.pid}`)
  writeFileSync(draft, text)
  renameSync(draft, path)
}
