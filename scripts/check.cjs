'use strict'
// `bin/check`: everything that has to be right before a change goes in. `bin/check unit` and the like run one part.
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { installed, run } = require('./set-up.cjs')

const root = path.join(__dirname, '..')
const NGINX_PLACES = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/local/bin/nginx', '/opt/homebrew/bin/nginx']

/** Steps of tests count their tests; each other step counts as one. */
const STEPS = {
  build: ['node', 'scripts/build.mjs'],
  generated: ['node', 'scripts/generated.mjs', '--check'],
  format: ['biome', 'format', '.'],
  lint: ['oxlint', '--type-aware', '--quiet'],
  types: ['tsc', '-p', 'tsconfig.json', '--noEmit'],
  borders: tests('test/architecture.test.ts'),
  unit: tests('src/', 'devnet/'),
  stories: tests('test/', '--exclude', 'test/architecture.test.ts'),
}

exports.main = (wanted) => {
  const unknown = wanted.filter((name) => !(name in STEPS))
  if (unknown.length > 0) {
    console.error(`check: there is no part ${unknown.join(', ')}; the parts are ${Object.keys(STEPS).join(', ')}`)
    process.exitCode = 2
    return
  }
  prepare()
  const names = wanted.length > 0 ? wanted : Object.keys(STEPS)
  const results = names.map(check)
  const sum = (key) => results.reduce((total, result) => total + result[key], 0)
  console.log(`${sum('passed')} passed, ${sum('failed')} failed`)
  process.exitCode = sum('failed') === 0 ? 0 : 1
}

function tests(...args) {
  return ['vitest', 'run', '--reporter=default', '--reporter=json', ...args]
}

/** One line per step with its seconds; what it printed only when it failed. */
function check(name) {
  const startedAt = performance.now()
  const report = path.join(os.tmpdir(), `dragonfly-check-${process.pid}-${name}.json`)
  const [tool, ...args] = STEPS[name]
  const command = tool === 'node' ? process.execPath : path.join(root, 'node_modules', '.bin', tool)
  const counted = tool === 'vitest'
  const step = spawnSync(command, counted ? [...args, `--outputFile.json=${report}`] : args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DRAGONFLY_BUILD: 'skip', NO_COLOR: '1' },
  })
  const result = counted
    ? countTests(report, step.status)
    : { passed: step.status === 0 ? 1 : 0, failed: step.status === 0 ? 0 : 1 }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(
    `${result.failed === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(10)} ${seconds.padStart(6)} s${counted ? `  ${result.passed} passed, ${result.failed} failed` : ''}`.trimEnd(),
  )
  if (result.failed > 0)
    process.stdout.write(`${step.stdout}${step.stderr}${step.error ? `${step.error.message}\n` : ''}`)
  return result
}

/** A run that broke before its tests, or left none behind, is a failure too. */
function countTests(report, status) {
  let counted = { numPassedTests: 0, numFailedTests: 0 }
  try {
    counted = JSON.parse(fs.readFileSync(report, 'utf8'))
  } catch {}
  fs.rmSync(report, { force: true })
  const failed = counted.numFailedTests
  return { passed: counted.numPassedTests, failed: status !== 0 && failed === 0 ? 1 : failed }
}

/** The development tools, and the real web server that the stories read from. */
function prepare() {
  if (!installed(root, ['dependencies', 'devDependencies'])) {
    console.log('installing the development tools (only now)')
    run(root, 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
  }
  if (NGINX_PLACES.some((place) => fs.existsSync(place))) return
  if (process.getuid?.() === 0 && fs.existsSync('/usr/bin/apt-get')) {
    console.log('installing nginx for the stories (only now)')
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const apt = (args) => spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0
    if (
      apt(['install', '-y', '--no-install-recommends', 'nginx-light']) ||
      (apt(['update']) && apt(['install', '-y', '--no-install-recommends', 'nginx-light']))
    )
      return
  }
  console.log('the stories need nginx: install it (Debian: apt-get install nginx-light) and run this again')
}
