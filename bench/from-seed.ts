import { devnet, startNginx, tempDir } from '#devnet'
import { type BenchOptions, curl, dfget, forget, sync } from './download.ts'
import { type Goal, measure, showTable } from './measure.ts'

const MiB = 2 ** 20

/** One file from a seed that has it to a daemon that has it not, beside `curl -o` from nginx. */
export async function dfgetFromSeed({ sizeBytes, runs }: BenchOptions): Promise<Goal[]> {
  await using dir = await tempDir('bench')
  await using nginx = await startNginx({ files: { f: { size: sizeBytes, seed: 1 } } })
  await using net = await devnet({ peers: 1, seeds: 1 })
  const [peer] = net.peers
  if (peer === undefined) throw new Error('the net has no peer')
  const url = nginx.url('f')
  const { taskId } = await dfget(peer, [url], dir.join('first'), sizeBytes)
  await forget(peer, taskId)
  const before = await nginx.bytesSent()
  let curlRuns = 0
  const measured = await measure(
    [
      {
        name: 'curl -o from nginx',
        run: () => {
          curlRuns++
          return curl(url, dir.join('curl'), sizeBytes)
        },
      },
      {
        name: 'dfget from the seed',
        run: async () => (await dfget(peer, [url], dir.join('dfget'), sizeBytes)).ms,
        clear: () => forget(peer, taskId),
      },
    ],
    runs,
    sync,
  )
  const extraBytes = (await nginx.bytesSent()) - before - curlRuns * sizeBytes
  if (extraBytes > sizeBytes / 100)
    throw new Error(`dfget read ${extraBytes} bytes at nginx: this measured something else`)
  showTable(`From a seed on this host, ${sizeBytes / MiB} MiB, ${runs} runs, every block checked`, measured)
  return [{ what: 'dfget from a seed, to curl -o', value: measured[1]?.ratio ?? Number.NaN, atMost: 2, unit: ' ×' }]
}
