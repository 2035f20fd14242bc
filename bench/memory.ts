import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { devnet, type Member, rssPeakOf, startNginx, tempDir } from '#devnet'
import { cpuMsOf } from './cpu.ts'
import { type BenchOptions, dfget } from './download.ts'
import type { Cell, Report } from './report.ts'

const MiB = 2 ** 20
const GiB = 2 ** 30
/** At the origin, at the seed and at the peer; the output is a link to the last one. */
const COPIES = 3
const MOST_PEAK_MEBIBYTES = 150

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
  const members = [seed, peer, net.scheduler]
  const before = new Map([...members, nginx].map(({ pid }) => [pid, cpuMsOf(pid)]))
  const cpuSeconds = (pid: number): number => (cpuMsOf(pid) - (before.get(pid) ?? 0)) / 1000
  const wanted = { url: nginx.url('f'), original: join(root, 'f') }
  const done = await dfget(peer, wanted, [], dir.join('out'))
  const originBytes = await nginx.bytesSent()
  const row = (name: string, peakBytes: number, seconds: number): Cell[] => [
    name,
    peakBytes / MiB,
    seconds,
    seconds / (sizeBytes / GiB),
  ]
  const dfgetSeconds = (done.cpuMs ?? Number.NaN) / 1000 - cpuSeconds(peer.pid)
  const memberRow = (name: string, member: Member): Cell[] => row(name, member.rssPeakBytes(), cpuSeconds(member.pid))
  return [
    {
      name: 'memory',
      title: `${sizeBytes / GiB} GiB from nginx by a seed to a peer, fresh processes: ${(done.ms / 1000).toFixed(1)} s`,
      columns: [
        { heading: 'process' },
        { heading: 'peak memory MiB', digits: 0 },
        { heading: 'CPU s', digits: 1 },
        { heading: 'CPU s/GiB' },
      ],
      rows: [
        memberRow('seed', seed),
        memberRow('peer', peer),
        memberRow('scheduler', net.scheduler),
        row('dfget', done.rssPeakBytes, Math.max(dfgetSeconds, 0)),
        row('nginx', rssPeakOf(nginx.pid), cpuSeconds(nginx.pid)),
      ],
      plots: [],
      notes: [`read at the origin: ${(originBytes / sizeBytes).toFixed(3)} × the file`],
      goals: [
        {
          what: `peak memory of a peer moving ${sizeBytes / GiB} GiB`,
          value: peer.rssPeakBytes() / MiB,
          atMost: MOST_PEAK_MEBIBYTES,
          unit: ' MiB',
        },
        {
          what: `peak memory of the seed beside it`,
          value: seed.rssPeakBytes() / MiB,
          atMost: MOST_PEAK_MEBIBYTES,
          unit: ' MiB',
        },
      ],
    },
  ]
}
