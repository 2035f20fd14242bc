import { parseArgs } from 'node:util'
import type { BenchOptions } from './download.ts'
import { dfgetFromOrigin } from './from-origin.ts'
import { dfgetFromSeed } from './from-seed.ts'
import {
  drawReport,
  type Goal,
  goalsHold,
  keepReport,
  keptReports,
  type Report,
  showGoals,
  showReport,
} from './report.ts'
import { memoryAndCpu } from './memory.ts'
import { isolatedPlugin } from './plugin.ts'
import { sectionOf, writeReadme } from './readme.ts'
import { schedulerLoad } from './scheduler.ts'
import { sizeLadder } from './sizes.ts'
import { CONTENDER_NAMES, shapedSwarm } from './swarm/swarm.ts'

const MiB = 2 ** 20
const USAGE = `npm run bench -- [origin] [seed] [sizes] [scheduler] [memory] [plugin] [swarm] [--runs N] [--size MiB] [--json FILE] [--plots DIR] [--check]

  --runs     measured runs of each case (5)
  --size     length of the file in MiB (1024; swarm 256, memory 10240)
  --json     add what was found to this file, a line each
  --plots    draw what was found into this directory
  --from     measure nothing: show and draw what --json has kept in this file, as Markdown
  --readme   with --from: write it into the places that this page has for it
  --check    the short form for CI: origin, seed and sizes, 128 MiB, 3 runs; fails only where a goal is missed three times over

  of the swarm (needs root: network namespaces):
  --peers    how many hosts want the file (4,8,16)
  --only     which programs (${CONTENDER_NAMES.join(', ')})
  --rate     Mbit/s of each link, each way (200)
  --congestion  how TCP between them controls congestion (cubic, as Linux does by itself)
  --logs     have ours log more, into files in this directory
  --profiles write a CPU profile of each of ours into a directory in this one`
/** A busy machine may be slow; only a collapse fails. */
const SLACK_OF_CHECK = 3

// Where it is set, Node reads all those certificates before its first line: 45 ms of every start that none here is for.
delete process.env['NODE_EXTRA_CA_CERTS']

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string' },
    runs: { type: 'string' },
    json: { type: 'string' },
    plots: { type: 'string' },
    from: { type: 'string' },
    readme: { type: 'string' },
    peers: { type: 'string' },
    only: { type: 'string' },
    logs: { type: 'string' },
    profiles: { type: 'string' },
    rate: { type: 'string' },
    congestion: { type: 'string' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const runs = count(values.runs ?? (values.check ? '3' : '5'))
const ended = new AbortController()

const BENCHMARKS: Readonly<Record<string, () => Promise<Report[]>>> = {
  origin: () => dfgetFromOrigin(common(1024)),
  seed: () => dfgetFromSeed(common(1024)),
  sizes: () => sizeLadder(common(0)),
  memory: () => memoryAndCpu(common(10 * 1024)),
  scheduler: () => schedulerLoad(common(0)),
  plugin: () => isolatedPlugin(common(1024)),
  swarm: () =>
    shapedSwarm({
      sizeBytes: sizeOr(256),
      runs,
      peers: (values.peers ?? '4,8,16').split(',').map(count),
      bitsPerSecond: count(values.rate ?? '200') * 1e6,
      congestion: values.congestion ?? 'cubic',
      only: values.only?.split(',') ?? [],
      logs: values.logs,
      profiles: values.profiles,
      signal: ended.signal,
    }),
}
const CHECKED = ['origin', 'seed', 'sizes']

if (values.help) console.log(USAGE)
else if (values.from !== undefined) await showKept(values.from)
else await main().catch(tellStopped)

async function main(): Promise<void> {
  const unknown = positionals.filter((name) => !(name in BENCHMARKS))
  if (unknown.length > 0) throw new Error(`there is no benchmark ${unknown.join(', ')}\n\n${USAGE}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort(new Error(signal)))
  const slack = values.check ? SLACK_OF_CHECK : 1
  const all = values.check ? CHECKED : Object.keys(BENCHMARKS)
  let held = true
  for (const name of positionals.length > 0 ? positionals : all) {
    const goals = await measureAndTell(name)
    // Other work on the machine can slow one of two down for a while; what has collapsed is slow the second time too.
    const again = values.check && !goalsHold(goals, slack)
    if (again) console.log(`${name}: once more, for a goal was missed ${slack} times over`)
    const goalsHeld = showGoals(again ? await measureAndTell(name) : goals, slack)
    held &&= goalsHeld
    ended.signal.throwIfAborted()
  }
  if (!held) process.exitCode = 1
}

/** Everything has been cleared away by then. */
function tellStopped(error: unknown): void {
  if (!ended.signal.aborted) throw error
  console.error('stopped')
  process.exitCode = 130
}

async function measureAndTell(name: string): Promise<Goal[]> {
  const reports = (await BENCHMARKS[name]?.()) ?? []
  for (const report of reports) {
    showReport(report)
    if (values.json !== undefined) await keepReport(report, commandOf(name), values.json)
    if (values.plots !== undefined) await drawReport(report, values.plots)
  }
  return reports.flatMap(({ goals }) => goals)
}

/** What makes this benchmark again, whatever else ran beside it. */
function commandOf(name: string): string {
  const given = (['runs', 'size', 'peers', 'only', 'rate', 'congestion'] as const).filter(
    (option) => values[option] !== undefined,
  )
  const check = values.check ? ['--check'] : []
  return ['npm run bench --', name, ...given.map((option) => `--${option} ${values[option]}`), ...check].join(' ')
}

async function showKept(file: string): Promise<void> {
  const reports = await keptReports(file)
  for (const report of reports) {
    if (values.plots !== undefined) await drawReport(report, values.plots)
    if (values.readme === undefined) console.log(`\n### ${report.name}\n\n${sectionOf(report)}`)
  }
  if (values.readme === undefined) return
  const homeless = await writeReadme(values.readme, reports)
  if (homeless.length > 0) console.log(`${values.readme} has no place for ${homeless.join(', ')}`)
}

function common(mebibytes: number): BenchOptions {
  return { sizeBytes: mebibytes === 0 ? 0 : sizeOr(mebibytes), runs, short: values.check }
}

function sizeOr(mebibytes: number): number {
  return count(values.size ?? String(values.check ? 128 : mebibytes)) * MiB
}

function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`"${text}" is not a number\n\n${USAGE}`)
  return Number(text)
}
