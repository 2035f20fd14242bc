import { devnet, startNginx, tempDir } from '#devnet'
import { type BenchOptions, curl, dfget, forget, sync } from './download.ts'
import { type Goal, measure, showTable } from './measure.ts'

const MiB = 2 ** 20

/** One file from nginx over loopback through a warm daemon, a fresh task each time, beside `curl -o`. */
export async function dfgetFromOrigin({ sizeBytes, runs }: BenchOptions): Promise<Goal[]> {
  await using dir = await tempDir('bench')
  await using nginx = await startNginx({ files: { f: { size: sizeBytes, seed: 1 } } })
  await using net = await devnet({ peers: 1, scheduler: false })
  const [peer] = net.peers
  if (peer === undefined) throw new Error('the net has no peer')
  const url = nginx.url('f')
  let number = 0
  let taskId = ''
  let dfgetPeakBytes = 0
  const measured = await measure(
    [
      { name: 'curl -o', run: () => curl(url, dir.join('curl'), sizeBytes) },
      {
        name: 'dfget, warm daemon',
        run: async () => {
          const done = await dfget(peer, [url, '--tag', `run ${++number}`], dir.join('dfget'), sizeBytes)
          taskId = done.taskId
          dfgetPeakBytes = Math.max(dfgetPeakBytes, done.rssPeakBytes)
          return done.ms
        },
        clear: () => forget(peer, taskId),
      },
    ],
    runs,
    sync,
  )
  showTable(`From nginx, ${sizeBytes / MiB} MiB, ${runs} runs, every block digested and signed`, measured)
  const daemonPeakBytes = peer.rssPeakBytes()
  console.log(`peak memory: daemon ${mebibytes(daemonPeakBytes)} MiB, dfget ${mebibytes(dfgetPeakBytes)} MiB`)
  return [
    { what: 'dfget from nginx, to curl -o', value: measured[1]?.ratio ?? Number.NaN, atMost: 2, unit: ' ×' },
    {
      what: 'peak memory of daemon and dfget together',
      value: (daemonPeakBytes + dfgetPeakBytes) / MiB,
      atMost: 200,
      unit: ' MiB',
    },
  ]
}

function mebibytes(bytes: number): string {
  return (bytes / MiB).toFixed(0)
}
