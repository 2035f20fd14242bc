import { devnet, run, startNginx, tempDir } from '#devnet'
import { type BenchOptions, dfget } from './download.ts'
import { type Goal, measure, showTable } from './measure.ts'

/** Short runs vary more: more of them. */
const RUNS_FACTOR = 4

/** One byte with a warm daemon, beside a Node that does nothing: what a download costs before its first byte. */
export async function dfgetOneByte({ runs }: BenchOptions): Promise<Goal[]> {
  await using dir = await tempDir('bench')
  await using nginx = await startNginx({ files: { f: new Uint8Array([42]) } })
  await using net = await devnet({ peers: 1, scheduler: false })
  const [peer] = net.peers
  if (peer === undefined) throw new Error('the net has no peer')
  const url = nginx.url('f')
  let number = 0
  const measured = await measure(
    [
      { name: 'node -e 0', run: async () => (await run(process.execPath, ['-e', '0'])).ms },
      {
        name: 'dfget, a new file',
        run: async () => (await dfget(peer, [url, '--tag', `run ${++number}`], dir.join('new'), 1)).ms,
      },
      { name: 'dfget, held here', run: async () => (await dfget(peer, [url], dir.join('held'), 1)).ms },
    ],
    runs * RUNS_FACTOR,
    async () => {},
  )
  showTable(`One byte, ${runs * RUNS_FACTOR} runs`, measured)
  return [
    { what: 'dfget of a new byte, to node -e 0', value: measured[1]?.ratio ?? Number.NaN, atMost: 2.5, unit: ' ×' },
    { what: 'dfget of a held byte, to node -e 0', value: measured[2]?.ratio ?? Number.NaN, atMost: 2.5, unit: ' ×' },
  ]
}
