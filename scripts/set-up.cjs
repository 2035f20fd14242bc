'use strict'
// What a fresh clone needs before its first run: the dependencies and the bundle. Not part of the published package.
const fs = require('node:fs')
const path = require('node:path')
const { spawnSync } = require('node:child_process')

const POLL_MS = 50
const NAMELESS_LOCK_MS = 10_000

/** Installs and builds while `isStale`. Of many processes at once one does it, and the others wait. */
exports.setUp = (root, isStale) => {
  const lock = path.join(root, '.build.lock')
  while (!take(lock)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS)
  try {
    if (!isStale()) return
    install(root)
    build(root)
  } finally {
    fs.rmSync(lock, { recursive: true, force: true })
  }
}

/** True when everything that package.json names is there in its version. */
exports.installed = (root, kinds) => {
  const wanted = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
  return kinds
    .flatMap((kind) => Object.entries(wanted[kind] ?? {}))
    .every(([name, version]) => versionAt(path.join(root, 'node_modules', name, 'package.json')) === version)
}

exports.run = run

function install(root) {
  if (exports.installed(root, ['dependencies'])) return
  say('installing dependencies (only now)')
  // A contributor keeps the development tools that are there.
  const production = fs.existsSync(path.join(root, 'node_modules', 'vitest')) ? [] : ['--omit=dev']
  run(root, 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', ...production])
}

function build(root) {
  say(fs.existsSync(path.join(root, 'dist', 'main.mjs')) ? 'building (sources changed)' : 'building (only now)')
  run(root, process.execPath, [path.join(root, 'scripts', 'build.mjs'), '--quick'])
}

function take(lock) {
  try {
    fs.mkdirSync(lock)
    fs.writeFileSync(path.join(lock, 'pid'), String(process.pid))
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (isAbandoned(lock)) fs.rmSync(lock, { recursive: true, force: true })
    return false
  }
}

/** A process that died in the middle leaves its lock behind. */
function isAbandoned(lock) {
  try {
    process.kill(Number(fs.readFileSync(path.join(lock, 'pid'), 'utf8')), 0)
    return false
  } catch (error) {
    if (error.code === 'ESRCH') return true
    const made = fs.statSync(lock, { throwIfNoEntry: false })
    return made !== undefined && Date.now() - made.mtimeMs > NAMELESS_LOCK_MS
  }
}

function versionAt(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')).version
  } catch {
    return undefined
  }
}

/** Runs a step in silence, and shows what it printed when it fails. */
function run(root, command, args) {
  const step = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' })
  if (step.status === 0) return
  process.stderr.write(`${step.stdout ?? ''}${step.stderr ?? ''}`)
  say(`"${[path.basename(command), ...args].join(' ')}" failed${step.error ? `: ${step.error.message}` : ''}`)
  process.exit(1)
}

function say(text) {
  process.stderr.write(`dragonfly-ts: ${text}\n`)
}
