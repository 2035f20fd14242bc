// Makes dist/: the bundle of the four programs, and the kit for plugin authors (`dragonfly-ts/source`, `dragonfly-ts/plugin`).
//   --child=DIR  makes only the program that plugins run in, in that directory (for tests)
//   --quick  leaves out what only publishing needs (the type declarations)
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createHash } from 'node:crypto'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const quick = process.argv.includes('--quick')
const startedAt = new Date()
const DAY_MS = 86_400_000

const shared = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  splitting: true,
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  // Addons come as compiled files of their own; esbuild and vitest are for plugin authors.
  external: ['@napi-rs/blake-hash', '@node-rs/crc32', 'fs-native-extensions', 'esbuild', 'vitest'],
  write: false,
  metafile: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'error',
  // CommonJS packages inside the bundle ask for built-ins with `require`.
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
  define: {
    __DRAGONFLY_VERSION__: JSON.stringify(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version),
    __DRAGONFLY_COMMIT__: JSON.stringify(commit()),
  },
  plugins: [{ name: 'without-side-effects', setup: leaveOutWhatIsNotUsed }],
}

const childOnly = process.argv.find((arg) => arg.startsWith('--child='))?.slice('--child='.length)
if (childOnly !== undefined) {
  const { outputFiles } = await buildChild()
  for (const { path, text } of outputFiles) put(join(childOnly, basename(path)), text)
  process.exit(0)
}
mkdirSync(dist, { recursive: true })
const { short, beside } = await buildShortWay()
const programs = await bundle({ ...shared, entryPoints: ['src/cli/main.ts', ...beside], chunkNames: 'part-[hash]' })
const kit = await buildKit()
const child = await buildChild()
const thread = await buildThread()
// The entries come last: who starts meanwhile finds the old ones whole, or the new ones.
const parts = [programs, short, kit, child, thread]
const files = parts.flatMap(({ outputFiles }) => outputFiles).sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)))
for (const { path, contents } of files) put(path, contents)
removeOldParts(new Set(files.map(({ path }) => basename(path))))
if (!quick) {
  const { writeTypes } = await import('./types.mjs')
  writeTypes(root)
}
buildSample()
dateInputs(parts.flatMap(({ metafile }) => Object.keys(metafile.inputs)))

/** The bundler has told its mistakes on stderr: nothing of a stack is of use. */
function bundle(options) {
  return build(options).catch(() => process.exit(1))
}

/** The page's sample plugin, which the README's first command reads from. */
function buildSample() {
  const script = join(root, 'examples/plugin-d7yfs/build.mjs')
  if (!existsSync(script)) return
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the sample plugin cannot be built: ${stderr}`)
}

/** The kit for plugin authors. */
function buildKit() {
  const entryPoints = {
    source: 'src/source/sdk.ts',
    'source-testing': 'src/source/testing.ts',
    plugin: 'src/plugin/sdk.ts',
  }
  return bundle({ ...shared, entryPoints, chunkNames: 'source-part-[hash]' })
}

/** The program that plugins run in. One file: under Node's permissions it may read that, and little else. */
function buildChild() {
  const entryPoints = { 'plugin-child': 'src/plugin/child/main.ts' }
  return bundle({ ...shared, entryPoints, splitting: false })
}

/**
 * dfget's short way: one script that V8 can keep compiled (scripts/launch.cjs). What it imports only when it is needed
 * comes from the other bundle, as an entry `beside` its own.
 */
async function buildShortWay() {
  const beside = new Set()
  const short = await bundle({
    ...shared,
    entryPoints: { dfget: 'src/cli/short-way.ts' },
    splitting: false,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    banner: { js: '(function(require,module,importBeside){' },
    footer: { js: '})' },
    plugins: [{ name: 'later', setup: (host) => importLater(host, beside) }, ...shared.plugins],
  })
  for (const file of short.outputFiles) file.contents = Buffer.from(named(file.text))
  return { short, beside: [...beside] }
}

/** Leaves what is imported dynamically to the other bundle. Commander needs child_process for what we never do. */
function importLater({ onResolve, onLoad }, beside) {
  onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) => {
    if (kind !== 'dynamic-import') return undefined
    beside.add(relative(root, join(resolveDir, path)))
    return { path: `./${basename(path, '.ts')}.mjs`, external: true }
  })
  onLoad({ filter: /commander\/lib\/command\.js$/ }, ({ path }) => {
    const eager = "const childProcess = require('node:child_process');"
    const text = readFileSync(path, 'utf8')
    if (!text.includes(eager)) throw new Error('commander loads child_process in another way by now')
    return {
      contents: text.replace(
        eager,
        "const childProcess = { get spawn() { return require('node:child_process').spawn } };",
      ),
    }
  })
}

/** The text as scripts/compiled.cjs runs it, with a name for just this text in its last line. */
function named(bundled) {
  if (bundled.split('importBeside').length > 2) throw new Error('the name is taken')
  const text = bundled.replaceAll(/\bimport\((?="\.\/)/g, 'importBeside(').trimEnd()
  // It is read as bytes, and V8 keeps no `import`.
  if (/[^\0-\x7f]|\bimport\(|import_meta/.test(text)) throw new Error('the short way is no plain script')
  return `${text}\n//${createHash('sha256').update(text).digest('hex')}`
}

/** The thread that digests whole contents. One file: a thread loads it by its path. */
function buildThread() {
  const entryPoints = { 'digest-thread': 'src/daemon/digest-thread-main.ts' }
  return bundle({ ...shared, entryPoints, splitting: false })
}

/**
 * None of our modules does anything when it is imported. Knowing this, the bundler lets dfget's short way load the few
 * modules it uses, and not all that an index.ts names.
 */
function leaveOutWhatIsNotUsed({ onResolve, resolve }) {
  onResolve({ filter: /^[.#]/ }, async ({ path, pluginData, kind, ...where }) => {
    if (pluginData === 'seen' || kind === 'entry-point' || where.importer.includes('node_modules')) return undefined
    const { resolveDir, importer } = where
    return { ...(await resolve(path, { resolveDir, importer, kind, pluginData: 'seen' })), sideEffects: false }
  })
}

function isEntry({ path }) {
  return !basename(path).includes('part-')
}

/** A daemon of an older build may still load a part of its own, therefore those go a day later, or before publishing. */
function removeOldParts(current) {
  for (const name of readdirSync(dist)) {
    if (!name.includes('part-') || current.has(name)) continue
    if (!quick || Date.now() - statSync(join(dist, name)).mtimeMs > DAY_MS) rmSync(join(dist, name), { force: true })
  }
}

/** What the launcher compares with: the files this was made of, dated with the start of the build. */
function dateInputs(inputs) {
  const own = [...new Set([...inputs, 'package.json', 'scripts/build.mjs'])].filter(
    (input) => !input.includes('node_modules/'),
  )
  put(join(dist, 'inputs.txt'), own.toSorted((a, b) => a.localeCompare(b)).join('\n'))
  utimesSync(join(dist, 'inputs.txt'), startedAt, startedAt)
}

function commit() {
  const git = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: root, encoding: 'utf8' })
  return git.status === 0 ? git.stdout.trim() : ''
}

function put(path, text) {
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}`)
  writeFileSync(draft, text)
  renameSync(draft, path)
}
