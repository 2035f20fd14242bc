import { formatBytes } from '#core'
import type { Outcome } from './net.ts'
import type { SimOptions } from './options.ts'

/**
 * How fast the file can reach all peers at all, in milliseconds: not before the seed has sent it once, the slowest has
 * taken it, and all uploads together have sent it as often as there are peers. With two data centres: nor before it
 * has crossed over.
 */
export function boundMs({
  fileBytes,
  peers,
  seedRate,
  peerUpRate,
  peerDownRate,
  twoSites,
  crossRate,
}: SimOptions): number {
  const rates = [limit(seedRate), limit(peerDownRate), (limit(seedRate) + peers * limit(peerUpRate)) / peers]
  if (twoSites && peers > 1) rates.push(limit(crossRate))
  return (fileBytes / Math.min(...rates)) * 1000
}

/** What one run showed; the same for the same options. */
export interface Figures {
  readonly peers: number
  readonly stayed: number
  /** Stayed, and have not got everything in any time. */
  readonly unfinished: number
  readonly pieces: number
  readonly boundMs: number
  /** From a peer's own start to its last byte. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly efficiencyP50: number
  readonly efficiencyP99: number
  /** From the first peer's start to the last one's last byte. */
  readonly makespanMs: number
  /** Copies of the file. */
  readonly originCopies: number
  readonly originReaders: number
  readonly seedCopies: number
  readonly crossCopies: number
  readonly crossBytes: number
  readonly lostBytes: number
  /** Part of the time that the seed's upload link was in use, until the last peer was done. */
  readonly seedBusy: number
  /** The same of the peers' links. */
  readonly peersBusy: number
}

export function figuresOf(outcome: Outcome): Figures {
  const { options, peers, seed, originBytes, crossBytes, lostBytes, endedAtMs } = outcome
  const stayed = peers.filter(({ left }) => !left)
  const durations = stayed
    .flatMap(({ joinedAtMs, doneAtMs }) => (doneAtMs === undefined ? [] : [doneAtMs - joinedAtMs]))
    .toSorted((a, b) => a - b)
  const bound = boundMs(options)
  const [p50Ms, p99Ms] = [quantile(durations, 0.5), quantile(durations, 0.99)]
  const firstAtMs = Math.min(...peers.map(({ joinedAtMs }) => joinedAtMs))
  const spanS = (endedAtMs - firstAtMs) / 1000
  const sent = peers.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
  const cross = crossBytes[0] + crossBytes[1]
  return {
    peers: peers.length,
    stayed: stayed.length,
    unfinished: stayed.length - durations.length,
    pieces: Math.ceil(options.fileBytes / options.pieceLength),
    boundMs: bound,
    p50Ms,
    p99Ms,
    p999Ms: quantile(durations, 0.999),
    efficiencyP50: bound / p50Ms,
    efficiencyP99: bound / p99Ms,
    makespanMs: endedAtMs - firstAtMs,
    originCopies: originBytes / options.fileBytes,
    originReaders: [seed, ...peers].filter(({ readSource }) => readSource).length,
    seedCopies: seed.sentBytes / options.fileBytes,
    crossCopies: cross / options.fileBytes,
    crossBytes: cross,
    lostBytes,
    seedBusy: seed.sentBytes / limit(options.seedRate) / spanS,
    peersBusy: sent / (limit(options.peerUpRate) * peers.length) / spanS,
  }
}

/** The figures for people. */
export function describe({ options }: Outcome, figures: Figures, wallMs: number): string {
  const { peers, fileBytes, pieceLength, unitLength, seedRate, peerUpRate, twoSites, crossRate } = options
  const rows: [string, string][] = [
    [
      'swarm',
      `1 seed at ${rate(seedRate)}, ${peers} peers at ${rate(peerUpRate)}${twoSites ? ', two data centres' : ''}`,
    ],
    [
      'file',
      `${formatBytes(fileBytes)} in ${figures.pieces} pieces of ${formatBytes(pieceLength)}; asked for and passed on: ${formatBytes(unitLength)}`,
    ],
    ['bound', `${seconds(figures.boundMs)}${twoSites ? ` (trunk ${rate(crossRate)})` : ''}`],
    ['p50', `${seconds(figures.p50Ms)}   efficiency ${figures.efficiencyP50.toFixed(3)}`],
    ['p99', `${seconds(figures.p99Ms)}   efficiency ${figures.efficiencyP99.toFixed(3)}`],
    ['p99.9', seconds(figures.p999Ms)],
    ['all done after', seconds(figures.makespanMs)],
    ['origin', `${figures.originCopies.toFixed(3)} × the file, read by ${figures.originReaders}`],
    ['sent by the seed', `${figures.seedCopies.toFixed(3)} × the file; its link was ${percent(figures.seedBusy)} busy`],
    ['peers', `their upload links were ${percent(figures.peersBusy)} busy`],
  ]
  if (twoSites)
    rows.push(['across', `${figures.crossCopies.toFixed(3)} × the file (${formatBytes(figures.crossBytes)})`])
  if (figures.stayed < peers)
    rows.push(['left', `${peers - figures.stayed} peers; ${formatBytes(figures.lostBytes)} were lost with them`])
  if (figures.unfinished > 0) rows.push(['UNFINISHED', `${figures.unfinished} peers never got everything`])
  rows.push(['wall time', seconds(wallMs)])
  return rows.map(([name, value]) => `${name.padEnd(18)}${value}`).join('\n')
}

/** Nearest rank. NaN without values. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

function limit(bytesPerSecond: number): number {
  return bytesPerSecond === 0 ? Number.POSITIVE_INFINITY : bytesPerSecond
}

function rate(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? 'any rate' : `${formatBytes(bytesPerSecond)}/s`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
