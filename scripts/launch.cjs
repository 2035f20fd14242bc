'use strict'
// Runs the bundle in dist/. In a checkout it is made first where it is missing or older than the sources.
// Every millisecond here is one of every dfget: only built-ins, and nothing that is not needed.
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')
const bundle = path.join(root, 'dist', 'main.mjs')

/** Runs one of the programs (dfget, dfdaemon, cdn, scheduler) with the arguments of this process. */
exports.launch = (program) => {
  if (process.env.DRAGONFLY_BUILD !== 'skip' && isCheckout() && isStale()) require('./set-up.cjs').setUp(root, isStale)
  void import('../dist/main.mjs').then(({ main }) => main(program, process.argv.slice(2)))
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
