'use strict'
// Loads a script with the code that V8 made of it the last time, so that it is not compiled again.
// What is kept is run unseen: it is read only from a file and a directory that nobody but this user can write.
const fs = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const vm = require('node:vm')

const HASH_LENGTH = 64
const MAX_BYTES = 2 ** 24
const OLD_MS = 30 * 86_400_000

/**
 * Runs `(function(require,module,importBeside){…})` of a file whose last line is `//` and a name for just this text.
 * `importBeside` is `import` of what lies beside the file. `keep` writes down what was compiled by then, unless it was
 * `kept` before.
 */
exports.load = (file) => {
  const text = fs.readFileSync(file, 'latin1')
  const place = placeOf(text.slice(-HASH_LENGTH), fs.statSync(file))
  const known = place && read(place)
  const script = new vm.Script(text, { filename: file, cachedData: known })
  const module = { exports: {} }
  // Not `import` in the script itself: in code that was kept it has forgotten who loads for it.
  const importBeside = (name) => import(pathToFileURL(path.join(path.dirname(file), name)).href)
  script.runInThisContext()(require, module, importBeside)
  const kept = known !== undefined && !script.cachedDataRejected
  const keep = () => {
    if (place !== undefined && !kept) write(place, () => script.createCachedData())
  }
  return { exports: module.exports, kept, keep }
}

/** Where the code of this very text is kept for this very Node; undefined where there is no place for it. */
function placeOf(hash, { mtimeMs, size }) {
  const { XDG_CACHE_HOME, HOME } = process.env
  const caches = path.isAbsolute(XDG_CACHE_HOME ?? '') ? XDG_CACHE_HOME : HOME && path.join(HOME, '.cache')
  if (!caches || !path.isAbsolute(caches) || !/^[0-9a-f]+$/.test(hash)) return undefined
  const name = [process.version, process.arch, hash, mtimeMs.toString(36), size].join('-')
  return { dir: path.join(caches, 'dragonfly-ts'), name: `${name}.v8` }
}

/** V8 notices code of another Node, but not a damaged one: it is kept twice, and both have to be the same. */
function read({ dir, name }) {
  let fd
  try {
    if (!isOurs(fs.lstatSync(dir), 'isDirectory')) return undefined
    fd = fs.openSync(path.join(dir, name), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK)
    const stats = fs.fstatSync(fd)
    if (!isOurs(stats, 'isFile') || stats.size > MAX_BYTES) return undefined
    const both = Buffer.allocUnsafeSlow(stats.size)
    if (fs.readSync(fd, both, 0, both.length, 0) !== both.length) return undefined
    const half = both.subarray(0, both.length / 2)
    return half.length > 0 && half.equals(both.subarray(half.length)) ? half : undefined
  } catch {
    return undefined
  } finally {
    if (fd !== undefined) fs.closeSync(fd)
  }
}

function isOurs(stats, kind) {
  return stats[kind]() && stats.uid === process.getuid?.() && (stats.mode & 0o022) === 0
}

/** What cannot be kept is made again the next time. */
function write({ dir, name }, makeCode) {
  const draft = path.join(dir, `.${name}.${process.pid}`)
  try {
    makeOwn(path.dirname(dir))
    makeOwn(dir)
    const code = makeCode()
    fs.writeFileSync(draft, Buffer.concat([code, code]), { flag: 'wx', mode: 0o600 })
    fs.renameSync(draft, path.join(dir, name))
    removeOld(dir, Date.now() - OLD_MS)
  } catch {
    fs.rm(draft, { force: true }, () => {})
  }
}

/** Makes a directory of this user in one of this user: not in the home of somebody else who lent us the environment. */
function makeOwn(dir) {
  if (!fs.existsSync(dir) && isOurs(fs.statSync(path.dirname(dir)), 'isDirectory')) fs.mkdirSync(dir, 0o700)
  if (!isOurs(fs.statSync(dir), 'isDirectory')) throw new Error(`${dir} is not ours`)
}

function removeOld(dir, beforeMs) {
  for (const name of fs.readdirSync(dir)) {
    const file = path.join(dir, name)
    if (name.includes('.v8') && fs.lstatSync(file).mtimeMs < beforeMs) fs.rmSync(file, { force: true })
  }
}
