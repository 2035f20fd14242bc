import type { BenchOptions } from './download.ts'
import { median } from './measure.ts'
import type { Cell, Goal, Report } from './report.ts'
import type { LoadOrder } from './scheduler-load.ts'
import { PIECES } from './scheduler-peer.ts'
import { type LoadMaker, type MeasuredServer, pinned, startLoad, startServer } from './scheduler-processes.ts'

/** So many peers, on so many connections. */
interface Stage {
  readonly peers: number
  readonly connections: number
}

/** What a message of one kind cost. */
interface Cost {
  readonly perSecond: number
  /** Of the scheduler's CPU. */
  readonly micros: number
  /** Times that the scheduler read from a socket. */
  readonly reads: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Measured extends Stage {
  readonly join: Cost
  readonly plan: Cost
  /** At the rate that has to be carried. */
  readonly report: Cost
  /** As many as one process of load can make: many come with one read. */
  readonly flood: Cost
  /** Of one peer that has as many parents as it may, after a collection. */
  readonly heapBytes: number
  readonly residentBytes: number
}

/** The same number of connections, so that nothing but the number of peers differs; and at last one for each host. */
const CONNECTIONS = 100
const STAGES: readonly Stage[] = [
  { peers: 100, connections: CONNECTIONS },
  { peers: 1000, connections: CONNECTIONS },
  { peers: 10_000, connections: CONNECTIONS },
  { peers: 10_000, connections: 10_000 },
]
const SHORT_STAGES: readonly Stage[] = [
  { peers: 100, connections: CONNECTIONS },
  { peers: 1000, connections: CONNECTIONS },
]
const REPORTS = 60_000
const SHORT_REPORTS = 20_000
/** Times that every peer asks for more parents: by then it has all it may have. */
const ASKED = 3
const PLANS = 2000
const LEAST_REPORTS_PER_SECOND = 20_000
const MOST_BYTES = 4096
/** More cost of a message than this, ten and a hundred times as many peers, is not flat. */
const FLAT = 1.5

/** A scheduler on one core, and live peers of one task that report pieces and ask for parents over gRPC. */
export async function schedulerLoad({ runs, short }: Pick<BenchOptions, 'runs' | 'short'>): Promise<Report[]> {
  const stages = short ? SHORT_STAGES : STAGES
  const measured: Measured[] = []
  for (const stage of stages) {
    await using server = await startServer('scheduler')
    measured.push(await measureStage(server, stage, short ? SHORT_REPORTS : REPORTS, runs))
  }
  const bare = await bareStream(stages.findLast(({ connections }) => connections === CONNECTIONS) ?? SHORT_STAGES[0])
  return [reportOf(measured, bare)]
}

async function measureStage(server: MeasuredServer, stage: Stage, reports: number, runs: number): Promise<Measured> {
  await using load = await startLoad()
  const { peers, connections } = stage
  const empty = await server.usage('memory')
  const join = await cost(server, load, peers, { do: 'join', address: server.address, peers, connections })
  await load.obey({ do: 'plan', plans: ASKED * peers, atOnce: 64 })
  const plans = await repeated(runs, () => cost(server, load, PLANS, { do: 'plan', plans: PLANS, atOnce: 1 }))
  // A report of a piece that was reported before is not looked at.
  const most = Math.min(reports, Math.floor(PIECES / (2 * (runs + 1))) * peers)
  const told = (perSecond?: number): Promise<Cost[]> =>
    repeated(runs, () => cost(server, load, most, { do: 'report', reports: most, ...(perSecond && { perSecond }) }))
  const report = middleOf(await told(LEAST_REPORTS_PER_SECOND))
  const flood = middleOf(await told())
  const full = await server.usage('memory')
  await load.obey({ do: 'leave' })
  return {
    ...stage,
    join,
    plan: middleOf(plans),
    report,
    flood,
    heapBytes: (full.heapBytes - empty.heapBytes) / peers,
    residentBytes: (full.residentBytes - empty.residentBytes) / peers,
  }
}

/** What a stream costs that nothing is kept of. */
async function bareStream(stage: Stage | undefined): Promise<{ heapBytes: number; residentBytes: number }> {
  const { peers, connections } = stage ?? { peers: 100, connections: CONNECTIONS }
  await using server = await startServer('bare')
  await using load = await startLoad()
  const empty = await server.usage('memory')
  await load.obey({ do: 'join', address: server.address, peers, connections })
  const full = await server.usage('memory')
  return {
    heapBytes: (full.heapBytes - empty.heapBytes) / peers,
    residentBytes: (full.residentBytes - empty.residentBytes) / peers,
  }
}

async function cost(server: MeasuredServer, load: LoadMaker, count: number, order: LoadOrder): Promise<Cost> {
  const before = await server.usage('cpu')
  const { ms, p50Ms, p99Ms } = await load.obey(order)
  const { cpuMicros, reads } = await server.usage('cpu')
  // Not measured: asking every connection whether all has come costs more than what has come.
  await load.obey({ do: 'settle' })
  const used = { micros: (cpuMicros - before.cpuMicros) / count, reads: (reads - before.reads) / count }
  return { perSecond: (count / ms) * 1000, ...used, p50Ms, p99Ms }
}

/** Once more than is counted: the first run makes what later ones find there. */
async function repeated(runs: number, run: () => Promise<Cost>): Promise<Cost[]> {
  const all: Cost[] = []
  for (let index = 0; index <= runs; index++) all.push(await run())
  return all.slice(1)
}

function middleOf(costs: readonly Cost[]): Cost {
  const middle = (pick: (cost: Cost) => number): number => median(costs.map(pick))
  return {
    perSecond: middle(({ perSecond }) => perSecond),
    micros: middle(({ micros }) => micros),
    reads: middle(({ reads }) => reads),
    p50Ms: middle(({ p50Ms }) => p50Ms),
    p99Ms: middle(({ p99Ms }) => p99Ms),
  }
}

function reportOf(measured: readonly Measured[], bare: { heapBytes: number; residentBytes: number }): Report {
  const digits = { micros: 1, rate: 0, bytes: 0 }
  return {
    name: 'scheduler',
    title: `A scheduler ${pinned ? 'on one core' : 'on whatever cores it takes'}, live peers of one task of ${PIECES} pieces`,
    columns: [
      { heading: 'peers on connections' },
      { heading: 'CPU µs/report', digits: digits.micros },
      { heading: 'reads/report' },
      { heading: 'CPU µs/report in a flood', digits: digits.micros },
      { heading: 'reads/report there' },
      { heading: 'reports/s there', digits: digits.rate },
      { heading: 'CPU µs/plan', digits: digits.rate },
      { heading: 'plan p50 ms' },
      { heading: 'plan p99 ms' },
      { heading: 'CPU µs/registration', digits: digits.rate },
      { heading: 'heap B/peer', digits: digits.bytes },
      { heading: 'resident B/peer', digits: digits.bytes },
    ],
    rows: [
      ...measured.map(rowOf),
      ['a stream that nothing is kept of', ...NO_FIGURES, bare.heapBytes, bare.residentBytes],
    ],
    notes: notes(bare.heapBytes),
    goals: goalsOf(measured, bare.heapBytes),
    plots: [],
  }
}

const NO_FIGURES: readonly Cell[] = Array.from({ length: 9 }, () => undefined)

function rowOf({ peers, connections, report, flood, plan, join, heapBytes, residentBytes }: Measured): readonly Cell[] {
  return [
    `${peers} on ${connections}`,
    report.micros,
    report.reads,
    flood.micros,
    flood.reads,
    flood.perSecond,
    plan.micros,
    plan.p50Ms,
    plan.p99Ms,
    join.micros,
    heapBytes,
    residentBytes,
  ]
}

function notes(bareBytes: number): string[] {
  return [
    `Reports come at ${LEAST_REPORTS_PER_SECOND}/s, each alone, and from another peer than the last one;`,
    'a flood is what one process of load can make on the other core, and each read brings many of them;',
    'a registration includes the announcement of its host, and a plan names 4 to 12 parents.',
    `Of the heap per peer ${bareBytes.toFixed(0)} B are the stream (HTTP/2 and gRPC), the rest is the scheduler's own.`,
  ]
}

function goalsOf(measured: readonly Measured[], bareBytes: number): Goal[] {
  const [few] = measured
  const same = measured.filter(({ connections }) => connections === CONNECTIONS)
  const many = same.at(-1)
  if (few === undefined || many === undefined) return []
  const { peers } = many
  const slowest = Math.max(...measured.map(({ report }) => report.micros))
  return [
    {
      what: `reports per second of CPU, ${peers} live peers, at the worst`,
      value: 1e6 / slowest,
      atLeast: LEAST_REPORTS_PER_SECOND,
      unit: '/s',
    },
    {
      what: `the scheduler's own bytes per peer, ${peers} live peers`,
      value: many.heapBytes - bareBytes,
      atMost: MOST_BYTES,
      unit: ' B',
    },
    {
      what: `cost of a report, ${peers} peers to ${few.peers}`,
      value: many.report.micros / few.report.micros,
      atMost: FLAT,
      unit: ' ×',
    },
    {
      what: `cost of a plan, ${peers} peers to ${few.peers}`,
      value: many.plan.micros / few.plan.micros,
      atMost: FLAT,
      unit: ' ×',
    },
  ]
}
