import { join } from 'node:path'
import { devnet, type Member, startNginx, tempDir } from '#devnet'
import { cpuMsOf } from './cpu.ts'
import { type BenchOptions, curl, dfget, forget, sync } from './download.ts'
import { type Measured, measure, measuredTable, median } from './measure.ts'
import type { Report } from './report.ts'

const MiB = 2 ** 20
const GiB = 2 ** 30

/** One file from a seed that has it to a daemon that has it not, beside `curl -o` from nginx. */
export async function dfgetFromSeed({ sizeBytes, runs }: BenchOptions): Promise<Report[]> {
  await using dir = await tempDir('bench')
  await using nginx = await startNginx({ files: { f: { size: sizeBytes, seed: 1 } } })
  await using net = await devnet({ peers: 1, seeds: 1 })
  const [[peer], [seed]] = [net.peers, net.seeds]
  if (peer === undefined || seed === undefined) throw new Error('the net has no peer, or no seed')
  const wanted = { url: nginx.url('f'), original: join(nginx.root, 'f') }
  const { taskId } = await dfget(peer, wanted, [], dir.join('first'))
  await forget(peer, taskId)
  const servers = new CpuPerRun([
    { name: 'nginx', pid: nginx.pid },
    { name: 'seed', pid: seed.pid },
    { name: 'scheduler', pid: net.scheduler.pid },
  ])
  let curlRuns = 0
  const byCurl = () => {
    curlRuns++
    return servers.during(['nginx'], () => curl(wanted, dir.join('curl')))
  }
  const bySwarm = () => servers.during(['seed', 'scheduler'], () => dfget(peer, wanted, [], dir.join('dfget')))
  const before = await nginx.bytesSent()
  const cases = [
    { name: 'curl -o from nginx', run: byCurl },
    { name: 'dfget from the seed', run: bySwarm, clear: () => forget(peer, taskId) },
  ]
  const measured = await measure(cases, runs, sync)
  const extraBytes = (await nginx.bytesSent()) - before - curlRuns * sizeBytes
  if (extraBytes > sizeBytes / 100)
    throw new Error(`dfget read ${extraBytes} bytes at nginx: this measured something else`)
  return [reportOf({ measured, servers, sizeBytes, runs, members: [seed, peer, net.scheduler] })]
}

interface Found {
  readonly measured: readonly Measured[]
  readonly servers: CpuPerRun
  readonly sizeBytes: number
  readonly runs: number
  readonly members: readonly Member[]
}

function reportOf({ measured, servers, sizeBytes, runs, members }: Found): Report {
  const perGiB = (cpuMs = Number.NaN): string => (cpuMs / 1000 / (sizeBytes / GiB)).toFixed(2)
  const [plain, ours] = measured
  const title = `${sizeBytes / MiB} MiB from a seed on this host, medians of ${runs}, every block checked`
  return {
    ...measuredTable('seed', title, measured),
    notes: [
      `CPU seconds per GiB: ${servers.shown(perGiB)}, curl ${perGiB(plain?.cpuMs)}, peer with dfget ${perGiB(ours?.cpuMs)}`,
      `peak memory: ${members.map(shownPeak).join(', ')}`,
    ],
    goals: [{ what: 'dfget from a seed, to curl -o', value: ours?.ratio ?? Number.NaN, atMost: 1.25, unit: ' ×' }],
  }
}

function shownPeak(member: Member): string {
  return `${member.name} ${(member.rssPeakBytes() / MiB).toFixed(0)} MiB`
}

/** CPU of processes that go on, run by run. */
class CpuPerRun {
  readonly #processes: readonly { readonly name: string; readonly pid: number; readonly runs: number[] }[]

  constructor(processes: readonly { readonly name: string; readonly pid: number }[]) {
    this.#processes = processes.map((each) => ({ ...each, runs: [] }))
  }

  /** Counts what these processes use while `work` goes on. */
  async during<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    const counted = this.#processes.filter(({ name }) => names.includes(name))
    const before = counted.map(({ pid }) => cpuMsOf(pid))
    const result = await work()
    for (const [index, { pid, runs }] of counted.entries()) runs.push(cpuMsOf(pid) - (before[index] ?? 0))
    return result
  }

  shown(format: (cpuMs: number) => string): string {
    return this.#processes.map(({ name, runs }) => `${name} ${format(median(runs))}`).join(', ')
  }
}
