'use strict'
// `bin/check`: everything that has to be right before a change goes in. `bin/check unit` and the like run one part.
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { spawnSync } = require('node:child_process')
const { installServers } = require('./debian-packages.cjs')
const { installed, run } = require('./set-up.cjs')

const root = path.join(__dirname, '..')

const REPORTER = path.join(__dirname, 'failures-reporter.mjs')
/** How much is told of the failures of a step, of one failure, and of what the step printed. */
const MOST_LINES = 200
const MOST_LINES_OF_ONE = 40

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
  // Alone, when all else is over: figures are ratios, and fail only where one is three times what is asked.
  bench: ['node', 'devnet/run.mjs', 'bench/main.ts', '--check'],
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
  return ['vitest', 'run', '--reporter=default', `--reporter=${REPORTER}`, '--silent=passed-only', ...args]
}

/** One line per step with its seconds; what it printed only when it failed. */
function check(name) {
  const startedAt = performance.now()
  const reportPath = path.join(os.tmpdir(), `dragonfly-check-${process.pid}-${name}.json`)
  const [tool, ...args] = STEPS[name]
  const command = tool === 'node' ? process.execPath : path.join(root, 'node_modules', '.bin', tool)
  const counted = tool === 'vitest'
  const step = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DRAGONFLY_BUILD: 'skip', DRAGONFLY_CHECK_REPORT: reportPath, NO_COLOR: '1' },
  })
  const { passed, failures } = counted ? readReport(reportPath) : { passed: step.status === 0 ? 1 : 0, failures: [] }
  const failed = failures.length > 0 ? failures.length : step.status === 0 ? 0 : 1
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(
    `${failed === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(10)} ${seconds.padStart(6)} s${counted ? `  ${passed} passed, ${failed} failed` : ''}`.trimEnd(),
  )
  if (failed === 0) return { passed, failed }
  const printed = `${step.stdout}${step.stderr}${step.error ? `${step.error.message}\n` : ''}`
  process.stdout.write(counted ? `${told(failures)}\n${lastLines(printed)}` : printed)
  return { passed, failed }
}

/** What the reporter wrote of the tests; a run that broke off leaves nothing. */
function readReport(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failures: [] }
  } finally {
    fs.rmSync(file, { force: true })
  }
}

/** The failures come first: they are there when somebody cuts off what follows. */
function told(failures) {
  const lines = failures.flatMap(({ name, text }) => [`FAILED ${name}`, ...shortened(text.split('\n'))])
  return `${lines.slice(0, MOST_LINES).join('\n')}\n`
}

/** What a program printed stands in the middle, what was expected of it around that. */
function shortened(lines) {
  const cut = lines.length - MOST_LINES_OF_ONE
  const half = MOST_LINES_OF_ONE / 2
  const kept = cut > 0 ? [...lines.slice(0, half), `… ${cut} lines more …`, ...lines.slice(-half)] : lines
  return kept.map((line) => `    ${line.slice(0, 500)}`.trimEnd())
}

/** Without the tests that passed: they say nothing of a failure. */
function lastLines(printed) {
  const lines = printed.split('\n').filter((line) => !/^ *✓ /.test(line))
  const above = Math.max(lines.length - MOST_LINES, 0)
  return `${above === 0 ? '' : `… ${above} lines above these\n`}${lines.slice(above).join('\n')}`
}

/** The development tools, and the real servers that stories and examples read from. */
function prepare() {
  if (!installed(root, ['dependencies', 'devDependencies'])) {
    console.log('installing the development tools (only now)')
    run(root, 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
  }
  installServers()
}
