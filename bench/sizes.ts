import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Download, downloadClient, openChannel } from '#api'
import { formatBytes } from '#core'
import {
  devnet,
  endProcesses,
  type Member,
  type Nginx,
  PROGRAM_ENV,
  processesNaming,
  programPath,
  run,
  startNginx,
  type TempDir,
  tempDir,
} from '#devnet'
import { type BenchOptions, check, curl, dfget, forget, sync, type Wanted } from './download.ts'
import { type Case, type Measured, measure, median, type Sample } from './measure.ts'
import type { Plot } from './plot.ts'
import type { Goal, Report } from './report.ts'

const KiB = 2 ** 10
const MiB = 2 ** 20
const SIZES = [1, KiB, 64 * KiB, MiB, 4 * MiB, 16 * MiB, 64 * MiB, 256 * MiB, 1024 * MiB, 4096 * MiB]
const SHORT_SIZES = [1, 16 * MiB]
/** Short runs vary more: more of them. */
const RUNS_FACTOR = 3
const SHORT_RUN_BYTES = 16 * MiB
/** And the longest say the same each time. */
const LONG_RUN_BYTES = 1024 * MiB
const MOST_LONG_RUNS = 3
const CALLS = 50

/** Where all cases of one size work. */
interface Place {
  readonly dir: TempDir
  readonly peer: Member
  readonly wanted: Wanted
}

/** What was measured of one size. */
interface Rung {
  readonly bytes: number
  readonly measured: readonly Measured[]
}

/** One file of each size: without a daemon, with one that is warm, and one that has it; beside curl. */
export async function sizeLadder({ runs, short }: BenchOptions): Promise<Report[]> {
  await using dir = await tempDir('bench')
  await using nginx = await startNginx()
  await using net = await devnet({ peers: 1, scheduler: false })
  const [peer] = net.peers
  if (peer === undefined) throw new Error('the net has no peer')
  const rows: Rung[] = []
  let insideMs = Number.NaN
  for (const bytes of short ? SHORT_SIZES : SIZES) {
    const name = `f${bytes}`
    await nginx.put(name, { size: bytes, seed: bytes })
    const place = { dir, peer, wanted: { url: nginx.url(name), original: join(nginx.root, name) } }
    if (bytes === 1) insideMs = median(await insideDaemon(place))
    const cases = bytes === 1 ? [...casesOf(place), NODE_ALONE] : casesOf(place)
    rows.push({ bytes, measured: await measure(cases, short ? runs : runsOf(bytes, runs), sync) })
    await forgetHeld(place, nginx)
  }
  return [ladderReport(rows, insideMs, runs)]
}

function ladderReport(rows: readonly Rung[], insideMs: number, runs: number): Report {
  const oneByte = mediansOf(rows[0]?.measured ?? [])
  const nodeMs = oneByte.at(-1) ?? Number.NaN
  return {
    name: 'sizes',
    title: `Sizes from 1 B to ${formatBytes(rows.at(-1)?.bytes ?? 0)}: milliseconds of wall, medians of ${runs} and more`,
    columns: [
      { heading: 'size' },
      ...CASES.map((heading) => ({ heading, digits: 0 })),
      { heading: 'warm / curl' },
      { heading: 'held / curl' },
    ],
    rows: rows.map(({ bytes, measured }) => {
      const [plain = Number.NaN, cold, source, warm = Number.NaN, held = Number.NaN] = mediansOf(measured)
      return [formatBytes(bytes), plain, cold, source, warm, held, warm / plain, held / plain]
    }),
    notes: [
      `node -e 0: ${nodeMs.toFixed(0)} ms; 1 byte inside the daemon, asked over an open channel, with both ends of the call: ${insideMs.toFixed(1)} ms (median of ${CALLS})`,
    ],
    goals: goalsOf(oneByte, nodeMs, insideMs),
    plots: [{ name: 'sizes', title: 'Milliseconds by size of the file', plot: plotOf(rows) }],
  }
}

function plotOf(rows: readonly Rung[]): Plot {
  const lines = CASES.map((name, index) => {
    const values = rows.map(({ measured }) => measured[index]?.medianMs ?? 0)
    return { name, own: name !== CASES[0], values }
  })
  return { kind: 'ladder', unit: ' ms', xNames: rows.map(({ bytes }) => formatBytes(bytes)), lines }
}

const CASES = ['curl', 'dfget cold', 'dfget -p source', 'dfget warm', 'dfget held'] as const

/** What every start of a dfget costs before its first line. */
const NODE_ALONE: Case = { name: 'node -e 0', run: () => run(process.execPath, ['-e', '0']) }

function mediansOf(measured: readonly Measured[]): number[] {
  return measured.map(({ medianMs }) => medianMs)
}

function casesOf(place: Place): Case[] {
  const { dir, peer, wanted } = place
  let number = 0
  let taskId = ''
  const warm = async (): Promise<Sample> => {
    const done = await dfget(peer, wanted, ['--tag', `run ${++number}`], dir.join('warm'))
    taskId = done.taskId
    return done
  }
  const runs: readonly Omit<Case, 'name'>[] = [
    { run: () => curl(wanted, dir.join('curl')) },
    coldCase(place),
    { run: () => dfget(peer, wanted, ['-p', 'source'], dir.join('source')) },
    { run: warm, clear: () => forget(peer, taskId) },
    { run: () => dfget(peer, wanted, [], dir.join('held')) },
  ]
  return runs.map((each, index) => ({ ...each, name: CASES[index] ?? '' }))
}

/** A dfget that starts the daemon it needs; its CPU is not counted, for that daemon goes on. */
function coldCase({ dir, wanted }: Place): Omit<Case, 'name'> {
  const workhome = dir.join('cold')
  return {
    async run() {
      const args = [programPath('dfget'), wanted.url, '-O', dir.join('out'), '--workhome', workhome]
      const ran = await run(process.execPath, args, { env: PROGRAM_ENV })
      await check(ran, wanted, dir.join('out'))
      return { ms: ran.ms }
    },
    async clear() {
      await endProcesses(processesNaming(workhome))
      await rm(workhome, { recursive: true, force: true })
    },
  }
}

/** The daemon gives room to the next size, and nginx too. */
async function forgetHeld({ dir, peer, wanted }: Place, nginx: Nginx): Promise<void> {
  const { taskId } = await dfget(peer, wanted, [], dir.join('last'))
  await forget(peer, taskId)
  await rm(join(nginx.root, wanted.original.split('/').at(-1) ?? ''))
}

/** The call that dfget makes, on a channel that is open already: milliseconds until the daemon has it done. */
async function insideDaemon({ dir, peer, wanted }: Place): Promise<number[]> {
  await using channel = openChannel(`unix:${peer.ready.socket ?? ''}`)
  const client = downloadClient(channel)
  const times: number[] = []
  for (let call = -5; call < CALLS; call++) {
    const outputPath = dir.join(`call${call}`)
    const download = Download.fromPartial({ url: wanted.url, tag: `call ${call}`, outputPath, overwrite: true })
    const startedAt = performance.now()
    for await (const message of client.downloadTask({ download })) if (message.summary !== undefined) break
    if (call >= 0) times.push(performance.now() - startedAt)
    await rm(outputPath)
  }
  return times
}

function runsOf(bytes: number, runs: number): number {
  if (bytes <= SHORT_RUN_BYTES) return runs * RUNS_FACTOR
  return bytes >= LONG_RUN_BYTES ? Math.min(runs, MOST_LONG_RUNS) : runs
}

function goalsOf(oneByte: readonly number[], nodeMs: number, insideMs: number): Goal[] {
  const [, , , warm = Number.NaN, held = Number.NaN] = oneByte
  return [
    { what: 'dfget of a new byte, warm daemon, to node -e 0', value: warm / nodeMs, atMost: 2, unit: ' ×' },
    { what: 'dfget of a held byte, to node -e 0', value: held / nodeMs, atMost: 2, unit: ' ×' },
    { what: 'one byte inside the daemon', value: insideMs, atMost: 10, unit: ' ms' },
  ]
}
