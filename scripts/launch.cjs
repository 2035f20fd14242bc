'use strict'
// Runs the bundle in dist/. In a checkout it is made first where it is missing or older than the sources.
// Every millisecond here is one of every dfget: only built-ins, and nothing that is not needed.
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')
const bundle = path.join(root, 'dist', 'main.mjs')
const script = path.join(root, 'dist', 'dfget.cjs')

/** Runs one of the programs (dfget, dfdaemon, cdn, scheduler) with the arguments of this process. */
exports.launch = (program) => {
  if (process.env.DRAGONFLY_BUILD !== 'skip' && isCheckout() && isStale()) require('./set-up.cjs').setUp(root, isStale)
  const argv = process.argv.slice(2)
  const whole = () => import('../dist/main.mjs').then(({ main }) => main(program, argv))
  void (program === 'dfget' && isDownload(argv) ? runShortWay(argv, whole) : whole())
}

/** Words without a scheme are commands. */
function isDownload([first = '']) {
  return first.startsWith('-') || first.includes(':')
}

/** A download through a daemon that is up: one script, which V8 keeps compiled. All else is the `whole` bundle's. */
async function runShortWay(argv, whole) {
  const compiled = require('./compiled.cjs').load(script)
  if (!(await compiled.exports.shortWay(argv))) return whole()
  compiled.keep()
  leave()
}

/** Nothing is left to do: what waits for the process need not wait until it is taken apart. */
function leave() {
  if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit()
}

/** A published package has no sources: it is never built where it is installed. */
function isCheckout() {
  return fs.existsSync(path.join(root, 'src'))
}

/** The build leaves the list of its inputs, dated with its own start. */
function isStale() {
  const list = path.join(root, 'dist', 'inputs.txt')
  const built = fs.statSync(list, { throwIfNoEntry: false })
  if (built === undefined || !fs.existsSync(bundle) || !fs.existsSync(script)) return true
  return fs
    .readFileSync(list, 'utf8')
    .split('\n')
    .some((input) => !(fs.statSync(path.join(root, input), { throwIfNoEntry: false })?.mtimeMs <= built.mtimeMs))
}
