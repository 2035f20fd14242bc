import { median } from '../measure.ts'
import type { Bar, Point } from '../plot.ts'
import type { Cell, Goal, NamedPlot, Report } from '../report.ts'
import type { Lap } from './race.ts'

const MiB = 2 ** 20
const GiB = 2 ** 30
/** Of 1,514 bytes on an Ethernet, 1,448 are the file's (TCP with timestamps). */
const PAYLOAD_SHARE = 1448 / 1514
/** Who takes longer is not drawn to the end. */
const MOST_BOUNDS_SHOWN = 3
/** Reports of other rates say so in their names. */
const USUAL_BITS_PER_SECOND = 200e6
const OWN = 'dragonfly-ts'

/** What the issue asks of N = 8 and 16. */
const BARS = { efficiency: 0.88, origin: 1.01, seed: 1.15 }
const BARRED_PEERS = [8, 16]

/** The laps of one contender, and why there are no more. */
export interface Result {
  readonly name: string
  readonly laps: readonly Lap[]
  readonly failure: string | undefined
}

export interface RaceFacts {
  readonly peers: number
  readonly fileBytes: number
  readonly bitsPerSecond: number
  /** No way is faster. */
  readonly boundMs: number
}

function nameOf({ peers, bitsPerSecond }: RaceFacts): string {
  return bitsPerSecond === USUAL_BITS_PER_SECOND ? `swarm-${peers}` : `swarm-${peers}-at-${bitsPerSecond / 1e6}`
}

/** Medians over the laps, as a table, a plot and goals. */
export function reportOf(facts: RaceFacts, results: readonly Result[], notes: readonly string[]): Report {
  const { peers, fileBytes, bitsPerSecond, boundMs } = facts
  return {
    name: nameOf(facts),
    title: `${fileBytes / MiB} MiB from one host to ${peers}, each link ${bitsPerSecond / 1e6} Mbit/s each way (bound ${(boundMs / 1000).toFixed(2)} s)`,
    columns: [
      { heading: 'by' },
      { heading: 'laps', digits: 0 },
      { heading: 'makespan s' },
      { heading: 'min' },
      { heading: 'max' },
      { heading: 'bound / makespan', digits: 3 },
      { heading: 'seed sent / file' },
      { heading: 'by its own count' },
      { heading: 'origin / file', digits: 3 },
      { heading: 'seed CPU s', digits: 1 },
      { heading: 'CPU s of one peer', digits: 1 },
      { heading: 'peer CPU s/GiB' },
      { heading: 'other CPU s', digits: 1 },
      { heading: 'machine busy' },
    ],
    rows: results.map((result) => rowOf(result, facts)),
    notes: [
      `Headers take ${(1 - PAYLOAD_SHARE).toFixed(3)} of a link: ${PAYLOAD_SHARE.toFixed(3)} is the most that bound / makespan can be.`,
      ...results.flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure.slice(0, 300)}`])),
      ...notes,
    ],
    goals: BARRED_PEERS.includes(peers) ? goalsOf(facts, results) : [],
    plots: plotsOf(facts, results),
  }
}

/** How near to the bound each comes; and how the bytes come in over time, in the lap in the middle. */
function plotsOf(facts: RaceFacts, results: readonly Result[]): NamedPlot[] {
  const { peers, fileBytes, boundMs } = facts
  const name = nameOf(facts)
  const bars = results.map((result) => barOf(result, boundMs))
  const mark = { value: 1, label: 'the bound' }
  const lines = results.flatMap(({ name: by, laps }) => {
    const lap = middleLap(laps)
    return lap === undefined ? [] : [{ name: by, own: by === OWN, points: pointsOf(lap, peers * fileBytes) }]
  })
  return [
    {
      name,
      title: `One file to ${peers} hosts: bound / makespan`,
      plot: { kind: 'bars', unit: '', bars, mark },
    },
    {
      name: `${name}-progress`,
      title: `One file to ${peers} hosts: share of all bytes that have come in`,
      plot: {
        kind: 'course',
        seconds: (boundMs / 1000) * MOST_BOUNDS_SHOWN,
        lines,
        mark: { value: boundMs / 1000, label: `the bound, ${(boundMs / 1000).toFixed(1)} s` },
      },
    },
  ]
}

function middleLap(laps: readonly Lap[]): Lap | undefined {
  return laps.toSorted((a, b) => a.makespanMs - b.makespanMs)[Math.floor((laps.length - 1) / 2)]
}

function pointsOf({ progress }: Lap, allBytes: number): Point[] {
  return progress.map(({ atMs, receivedBytes }) => [
    Math.round(atMs) / 1000,
    Math.round((1000 * receivedBytes) / allBytes) / 1000,
  ])
}

function rowOf({ name, laps }: Result, { peers, fileBytes, boundMs }: RaceFacts): Cell[] {
  if (laps.length === 0) return [name, 0]
  const seconds = laps.map(({ makespanMs }) => makespanMs / 1000)
  const middle = (value: (lap: Lap) => number): number => median(laps.map(value))
  const peerCpu = middle(({ peersCpuMs }) => peersCpuMs / 1000 / peers)
  return [
    name,
    laps.length,
    median(seconds),
    Math.min(...seconds),
    Math.max(...seconds),
    boundMs / 1000 / median(seconds),
    middle(({ seedSentBytes }) => seedSentBytes / fileBytes),
    laps[0]?.seedGaveBytes === undefined ? undefined : middle(({ seedGaveBytes = 0 }) => seedGaveBytes / fileBytes),
    laps[0]?.originBytes === undefined ? undefined : middle(({ originBytes = 0 }) => originBytes / fileBytes),
    middle(({ seedCpuMs }) => seedCpuMs / 1000),
    peerCpu,
    peerCpu / (fileBytes / GiB),
    middle(({ otherCpuMs }) => otherCpuMs / 1000),
    middle(({ busy }) => busy),
  ]
}

function barOf({ name, laps, failure }: Result, boundMs: number): Bar {
  const own = name === OWN
  if (laps.length === 0) return { name, own, note: (failure ?? 'not run').slice(0, 40) }
  const shares = laps.map(({ makespanMs }) => boundMs / makespanMs)
  return { name, own, value: median(shares), low: Math.min(...shares), high: Math.max(...shares) }
}

function goalsOf({ peers, fileBytes, boundMs }: RaceFacts, results: readonly Result[]): Goal[] {
  const ours = results.find(({ name }) => name === OWN)
  if (ours === undefined) return []
  const { laps } = ours
  const share = ({ laps: all }: Result): number => boundMs / median(all.map(({ makespanMs }) => makespanMs))
  const others = results.filter(({ name, laps: all }) => name !== OWN && all.length > 0)
  const best = Math.max(0, ...others.map(share))
  return [
    { what: `swarm of ${peers}: bound / makespan`, value: share(ours), atLeast: BARS.efficiency, unit: '' },
    ...(others.length === 0
      ? []
      : [
          {
            what: `swarm of ${peers}: our share of the bound / the best other's`,
            value: share(ours) / best,
            atLeast: 1,
            unit: ' ×',
          },
        ]),
    {
      what: `swarm of ${peers}: bytes read at the origin / file`,
      value: laps.length === 0 ? Number.NaN : Math.max(...laps.map(({ originBytes = 0 }) => originBytes / fileBytes)),
      atMost: BARS.origin,
      unit: ' ×',
    },
    {
      what: `swarm of ${peers}: bytes sent by the seed / file`,
      value: median(laps.map(({ seedSentBytes }) => seedSentBytes / fileBytes)),
      atMost: BARS.seed,
      unit: ' ×',
    },
  ]
}
