import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { devnet, rssPeakOf, startNginx, tempDir } from '#devnet'
import { cpuMsOf } from './cpu.ts'
import { type BenchOptions, type Downloaded, dfget } from './download.ts'
import type { Goal, Report } from './report.ts'

const MiB = 2 ** 20
const GiB = 2 ** 30
/** At the origin, at the seed and at the peer; the output is a link to the last one. */
const COPIES = 3
const MOST_PEAK_MEBIBYTES = 150

/** What one process needed. */
interface Need {
  readonly name: string
  readonly peakBytes: number
  readonly cpuMs: number
}

/** One large file from its origin by a seed to a peer, all at once, by fresh processes: what each of them needs for it. */
export async function memoryAndCpu({ sizeBytes }: BenchOptions): Promise<Report[]> {
  await using dir = await tempDir('bench')
  const { bavail, bsize } = await statfs(dir.path)
  if (bavail * bsize < sizeBytes * (COPIES + 0.1)) {
    console.log(`memory: not run: ${dir.path} has no room for ${COPIES} times ${sizeBytes / MiB} MiB`)
    return []
  }
  const root = dir.join('origin')
  await using nginx = await startNginx({ root, files: { f: { size: sizeBytes, seed: 1 } } })
  await using net = await devnet({ peers: 1, seeds: 1, dir: dir.join('net') })
  const [[peer], [seed]] = [net.peers, net.seeds]
  if (peer === undefined || seed === undefined) throw new Error('the net has no peer, or no seed')
  const processes = Object.entries({ seed, peer, scheduler: net.scheduler, nginx })
  const before = processes.map(([, { pid }]) => cpuMsOf(pid))
  const done = await dfget(peer, { url: nginx.url('f'), original: join(root, 'f') }, [], dir.join('out'))
  const needs = processes.map(([name, { pid }], index) => {
    return { name, peakBytes: rssPeakOf(pid), cpuMs: cpuMsOf(pid) - (before[index] ?? 0) }
  })
  const client = { name: 'dfget', peakBytes: done.rssPeakBytes, cpuMs: done.clientCpuMs }
  return [reportOf([...needs, client], done, sizeBytes, await nginx.bytesSent())]
}

function reportOf(needs: readonly Need[], { ms }: Downloaded, sizeBytes: number, originBytes: number): Report {
  const gibibytes = sizeBytes / GiB
  return {
    name: 'memory',
    title: `${gibibytes} GiB from nginx by a seed to a peer, fresh processes: ${(ms / 1000).toFixed(1)} s`,
    columns: [
      { heading: 'process' },
      { heading: 'peak memory MiB', digits: 0 },
      { heading: 'CPU s', digits: 1 },
      { heading: 'CPU s/GiB' },
    ],
    rows: needs.map(({ name, peakBytes, cpuMs }) => [name, peakBytes / MiB, cpuMs / 1000, cpuMs / 1000 / gibibytes]),
    plots: [],
    notes: [`read at the origin: ${(originBytes / sizeBytes).toFixed(3)} × the file`],
    goals: ['peer', 'seed'].map((name) => peakGoal(name, needs, gibibytes)),
  }
}

function peakGoal(name: string, needs: readonly Need[], gibibytes: number): Goal {
  const peakBytes = needs.find((need) => need.name === name)?.peakBytes ?? Number.NaN
  const what = `peak memory of a ${name} moving ${gibibytes} GiB`
  return { what, value: peakBytes / MiB, atMost: MOST_PEAK_MEBIBYTES, unit: ' MiB' }
}
