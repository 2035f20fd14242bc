import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'esbuild'
import { resolveSettings } from '#core'
import { downloadDirectly } from '#daemon'
import { run, startNginx, type TempDir, tempDir } from '#devnet'
import { createPluginHost, type PluginHost, pluginPolicySettings } from '#plugin'
import { silentLog } from '#runtime'
import { createSources, sourceFromClient, type Sources, sourceSettings, withPolicy } from '#source'
import { DragonflyPluginInit } from './bench-source.ts'
import { type BenchOptions, sync } from './download.ts'
import { measure, measuredTable, type Sample } from './measure.ts'
import type { Report } from './report.ts'

const MiB = 2 ** 20
const SETTINGS = resolveSettings(sourceSettings, [])
const WARM_CALLS = 2000
const warn = (): void => undefined

/** The same source inside the host's process and as a plugin apart from it: the rate, and what a call and a process cost. */
export async function isolatedPlugin({ sizeBytes, runs }: BenchOptions): Promise<Report[]> {
  await using dir = await tempDir('bench')
  await using nginx = await startNginx({ files: { f: { size: sizeBytes, seed: 1 } } })
  await writePlugin(dir.join('plugins'))
  await using host = hostOf(dir)
  const url = nginx.url('f').replace(/^http:/, 'bench:')
  await lengthFrom(host)
  const idleBytes = await idleMemory()
  const inTree = await sourcesInTree()
  const apart = sourcesApart(host)
  const timed = (sources: Sources) => () => download(sources, url, dir.join('out'), sizeBytes)
  const measured = await measure(
    [
      { name: 'in the process of its host', run: timed(inTree) },
      { name: 'as a plugin, apart', run: timed(apart) },
    ],
    runs,
    sync,
  )
  const coldMs = await coldCall(dir, runs)
  const warmMs = await warmCall(host)
  const laterBytes = await idleMemory()
  const [idle, later] = [idleBytes, laterBytes].map((bytes) => (bytes / MiB).toFixed(1))
  const ratio = measured[1]?.ratio ?? Number.NaN
  return [
    {
      ...measuredTable(
        'plugin',
        `One source from nginx, ${sizeBytes / MiB} MiB, medians of ${runs}, every piece digested`,
        measured,
      ),
      notes: [
        `first call of a cold plugin ${coldMs.toFixed(0)} ms, of a warm one ${warmMs.toFixed(2)} ms`,
        `memory (PSS): loaded and idle ${idle} MiB, idle again after all these runs ${later} MiB`,
      ],
      goals: [
        { what: 'time as a plugin, to the same source in-tree', value: ratio, atMost: 1 / 0.85, unit: ' ×' },
        { what: 'first call of a cold plugin', value: coldMs, atMost: 300, unit: ' ms' },
        { what: 'a call of a warm plugin', value: warmMs, atMost: 2, unit: ' ms' },
        { what: 'memory of a plugin that is loaded and idle (PSS)', value: idleBytes / MiB, atMost: 25, unit: ' MiB' },
      ],
    },
  ]
}

async function writePlugin(dir: string): Promise<void> {
  await mkdir(dir)
  await build({
    entryPoints: [join(process.cwd(), 'bench/bench-source.ts')],
    outfile: join(dir, 'd7y-resource-plugin-bench.mjs'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'error',
  })
}

function hostOf(dir: TempDir): PluginHost {
  const dirs = [{ path: dir.join('plugins'), given: true }]
  return createPluginHost({ dirs, options: {}, policy: resolveSettings(pluginPolicySettings, []), warn })
}

async function sourcesInTree(): Promise<Sources> {
  const { client } = await DragonflyPluginInit({})
  const source = withPolicy(sourceFromClient(client, { scheme: 'bench', inTree: true, warn }), SETTINGS)
  return createSources({ builtIn: [source], settings: SETTINGS, warn })
}

function sourcesApart(host: PluginHost): Sources {
  return createSources({
    builtIn: [],
    async loadPlugin(scheme) {
      const plugin = await host.load(scheme)
      return plugin && { client: plugin.client, name: plugin.name, apart: true }
    },
    settings: SETTINGS,
    warn,
  })
}

/** As `dfget -p source` does it, without the start of a process. */
async function download(sources: Sources, url: string, output: string, sizeBytes: number): Promise<Sample> {
  const request = {
    url,
    headers: {},
    tag: '',
    application: '',
    filteredQueryParams: [],
    pieceLength: undefined,
    digest: undefined,
    range: undefined,
    output,
    originalOffset: false,
    rateLimitBytes: undefined,
    disableBackSource: false,
    needBackSource: false,
    inOrder: false,
  }
  const startedAt = performance.now()
  await downloadDirectly(request, { sources, log: silentLog }, new AbortController().signal)
  const ms = performance.now() - startedAt
  const { size } = await stat(output)
  if (size !== sizeBytes) throw new Error(`${output} has ${size} bytes instead of ${sizeBytes}`)
  await rm(output)
  return { ms }
}

/** From a file that was never loaded to the first answer: the median of some. */
async function coldCall(dir: TempDir, runs: number): Promise<number> {
  const times: number[] = []
  for (let turn = 0; turn < runs; turn++) {
    await using host = hostOf(dir)
    const startedAt = performance.now()
    await lengthFrom(host)
    times.push(performance.now() - startedAt)
  }
  return times.toSorted((a, b) => a - b)[Math.floor(runs / 2)] ?? Number.NaN
}

async function warmCall(host: PluginHost): Promise<number> {
  const startedAt = performance.now()
  for (let call = 0; call < WARM_CALLS; call++) await lengthFrom(host)
  return (performance.now() - startedAt) / WARM_CALLS
}

async function lengthFrom(host: PluginHost): Promise<number | undefined> {
  const plugin = await host.load('bench')
  const request = { url: 'bench://host/f', headers: {}, signal: new AbortController().signal }
  return plugin?.client.getContentLength?.(request)
}

/** A plugin that has been at work tidies up when nothing was asked of it for 2 s. */
const IDLE_MS = 5000

/** What the machine would get back if the process were not there: its share of shared pages, and all of its own. */
async function idleMemory(): Promise<number> {
  await sleep(IDLE_MS)
  const { stdout } = await run('pgrep', ['-f', '--', `plugin-child.mjs .* d7y-resource-plugin-bench`])
  const [pid = ''] = stdout.trim().split('\n')
  const match = /^Pss:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))
  return Number(match?.[1] ?? Number.NaN) * 1024
}
