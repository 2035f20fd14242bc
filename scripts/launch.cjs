'use strict'
// Runs the bundle in dist/. In a checkout it is made first where it is missing or older than the sources.
// Every millisecond here is one of every dfget: only built-ins, and nothing that is not needed.
const fs = require('node:fs')
const path = require('node:path')
const vm = require('node:vm')

const root = path.join(__dirname, '..')
const bundle = path.join(root, 'dist', 'main.cjs')

/** Runs one of the programs (dfget, dfdaemon, cdn, scheduler) with the arguments of this process. */
exports.launch = (program) => {
  if (process.env.DRAGONFLY_BUILD !== 'skip' && isCheckout() && isStale()) require('./set-up.cjs').setUp(root, isStale)
  load().main(program, process.argv.slice(2))
}

/** A published package has no sources: it is never built where it is installed. */
function isCheckout() {
  return fs.existsSync(path.join(root, 'src'))
}

/** The build leaves the list of its inputs, dated with its own start. */
function isStale() {
  const list = path.join(root, 'dist', 'inputs.txt')
  const built = fs.statSync(list, { throwIfNoEntry: false })
  if (built === undefined || !fs.existsSync(bundle)) return true
  return fs
    .readFileSync(list, 'utf8')
    .split('\n')
    .some((input) => !(fs.statSync(path.join(root, input), { throwIfNoEntry: false })?.mtimeMs <= built.mtimeMs))
}

/**
 * Loads the bundle with V8's compiled code beside it, which halves the time to start. V8 tells other versions of itself
 * but not another source of the same length, therefore the file is named for the build.
 */
function load() {
  const source = fs.readFileSync(bundle, 'latin1')
  const build = /^\/\/ build (\w+)/.exec(source)?.[1]
  const cache = path.join(root, 'dist', `main-${build}-${process.version}-${process.arch}.v8`)
  const cachedData = readIfThere(cache)
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: bundle,
    cachedData,
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  if (cachedData === undefined || script.cachedDataRejected) process.once('exit', () => keep(script, cache))
  const module = { exports: {} }
  script.runInThisContext()(module.exports, require, module, bundle, path.dirname(bundle))
  return module.exports
}

function readIfThere(file) {
  try {
    return fs.readFileSync(file)
  } catch {
    return undefined
  }
}

/** Where dist/ cannot be written, the next start is as slow as this one. */
function keep(script, cache) {
  try {
    const draft = `${cache}.${process.pid}`
    fs.writeFileSync(draft, script.createCachedData())
    fs.renameSync(draft, cache)
  } catch {}
}
