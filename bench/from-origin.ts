import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { devnet, run, sha256Of, startNginx, tempDir } from '#devnet'
import { type BenchOptions, curl, dfget, fetchBy, forget, sync, type Wanted } from './download.ts'
import { type Case, type Measured, measure, measuredTable } from './measure.ts'
import type { Goal, Report } from './report.ts'

const MiB = 2 ** 20
/** A directory in memory: what the disk does says nothing of a program there. */
const IN_MEMORY = '/dev/shm'
const CURL = 'curl -o'
const CURL_DIGEST = 'curl -o, then sha256sum'
const ARIA2_4 = 'aria2c -x4'
const OURS = 'dfget, warm daemon'
const OURS_DIGEST = 'dfget --digest sha256:…'

/** One file from nginx over loopback through a warm daemon, a fresh task each time, beside plain tools. */
export async function dfgetFromOrigin(options: BenchOptions): Promise<Report[]> {
  const places = [{ name: 'origin', where: 'on disk', parent: undefined }]
  const inMemory = { name: 'origin-in-memory', where: 'in memory (tmpfs)', parent: IN_MEMORY }
  const reports: Report[] = []
  for (const place of existsSync(IN_MEMORY) && !options.short ? [...places, inMemory] : places) {
    reports.push(await fromOrigin(options, place))
  }
  return reports
}

interface Place {
  readonly name: string
  readonly where: string
  readonly parent: string | undefined
}

async function fromOrigin({ sizeBytes, runs, short }: BenchOptions, { name, where, parent }: Place): Promise<Report> {
  await using dir = await tempDir('bench', parent)
  const content = { size: sizeBytes, seed: 1 }
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 1, scheduler: false, dir: dir.join('net') })
  const [peer] = net.peers
  if (peer === undefined) throw new Error('the net has no peer')
  const wanted = { url: nginx.url('f'), original: join(nginx.root, 'f') }
  let number = 0
  let taskId = ''
  let dfgetPeakBytes = 0
  const ours = (more: readonly string[]) => async () => {
    const done = await dfget(peer, wanted, ['--tag', `run ${++number}`, ...more], dir.join('dfget'))
    taskId = done.taskId
    dfgetPeakBytes = Math.max(dfgetPeakBytes, done.rssPeakBytes)
    return done
  }
  const clear = (): Promise<void> => forget(peer, taskId)
  const cases: Case[] = [
    { name: CURL, run: () => curl(wanted, dir.join('curl')) },
    ...(short ? [] : await plainTools(wanted, dir.join('plain'))),
    { name: OURS, run: ours([]), clear },
    { name: CURL_DIGEST, run: () => curlAndDigest(wanted, dir.join('digest')) },
    { name: OURS_DIGEST, run: ours(['--digest', `sha256:${sha256Of(content)}`]), clear },
  ]
  const measured = await measure(cases, runs, sync)
  const daemonPeakBytes = peer.rssPeakBytes()
  return {
    ...measuredTable(
      name,
      `${sizeBytes / MiB} MiB from nginx, outputs ${where}, medians of ${runs}, every block digested and signed`,
      measured,
    ),
    notes: [
      `peak memory: daemon ${mebibytes(daemonPeakBytes)} MiB, dfget ${mebibytes(dfgetPeakBytes)} MiB`,
      'aria2c calls fsync when it is done, and wget and curl do not: compare with it in memory',
    ],
    goals: goalsOf(measured, (daemonPeakBytes + dfgetPeakBytes) / MiB, parent !== undefined),
  }
}

/** Those of them that are installed. */
async function plainTools(wanted: Wanted, output: string): Promise<Case[]> {
  const { url } = wanted
  const dir = join(output, '..')
  const aria2 = ['--no-conf', '--quiet', '--file-allocation=none', '--allow-overwrite=true', '-d', dir, '-o', 'plain']
  const tools = [
    { name: 'wget', command: 'wget', args: ['-q', '-O', output, url] },
    { name: 'aria2c -x1', command: 'aria2c', args: [...aria2, '-x1', '-s1', url] },
    { name: ARIA2_4, command: 'aria2c', args: [...aria2, '-x4', '-s4', url] },
  ]
  const cases: Case[] = []
  for (const { name, command, args } of tools) {
    const version = await run(command, ['--version']).catch(() => undefined)
    if (version?.code === 0) cases.push({ name, run: () => fetchBy(command, args, wanted, output) })
    else console.log(`${name} is missing here: apt-get install -y ${command.replace('aria2c', 'aria2')}`)
  }
  return cases
}

/** What people do who want to be sure of a file: the second program reads what the first one wrote. */
function curlAndDigest(wanted: Wanted, output: string) {
  const script = 'curl -sS -o "$1" "$2" && sha256sum "$1" >/dev/null'
  return fetchBy('sh', ['-c', script, 'sh', output, wanted.url], wanted, output)
}

function goalsOf(measured: readonly Measured[], peakMebibytes: number, inMemory: boolean): Goal[] {
  const of = (name: string): Measured | undefined => measured.find((each) => each.name === name)
  const [plain, ours, aria2, digest, ourDigest] = [CURL, OURS, ARIA2_4, CURL_DIGEST, OURS_DIGEST].map(of)
  if (plain === undefined || ours === undefined || digest === undefined || ourDigest === undefined) return []
  const toAria2 = ours.medianMs / (aria2?.medianMs ?? Number.NaN)
  const where = inMemory ? ' (in memory)' : ''
  return [
    { what: `dfget from nginx, to curl -o${where}`, value: ours.ratio, atMost: 1.25, unit: ' ×' },
    { what: `its CPU, to that of curl -o${where}`, value: ours.cpuRatio, atMost: 2.5, unit: ' ×' },
    ...(aria2 === undefined
      ? []
      : [{ what: `the same, to ${ARIA2_4}${where}`, value: toAria2, atMost: 0.75, unit: ' ×' }]),
    {
      what: `with --digest, to curl -o and then sha256sum${where}`,
      value: ourDigest.medianMs / digest.medianMs,
      atMost: 0.75,
      unit: ' ×',
    },
    { what: `peak memory of daemon and dfget together${where}`, value: peakMebibytes, atMost: 200, unit: ' MiB' },
  ]
}

function mebibytes(bytes: number): string {
  return (bytes / MiB).toFixed(0)
}
