import { mkdir, open } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { devnet, run, sha256File, startNginx, tempDir } from '#devnet'
import { GiB, MiB, resultOf } from './story.ts'

const SIZE = 4 * GiB
/** It moves 16 GiB in all. */
const TIMEOUT_MS = 900_000
const BEHIND_4_GIB_BYTES = 12_345

test('4 GiB go through two daemons: the digest is right and memory stays flat', { timeout: TIMEOUT_MS }, async () => {
  await using dir = await tempDir('flat')
  await mkdir(dir.join('root'))
  const file = await open(dir.join('root/sparse'), 'w')
  // Something to find in the wrong place, on both sides of the numbers that 32 bits hold.
  for (const offset of [0, 2 * GiB - 3, 2 * GiB + 7, SIZE - 5, SIZE + BEHIND_4_GIB_BYTES - 9])
    await file.write(`at ${offset}`.slice(0, 9), offset)
  await file.close()
  const sha256 = await sha256File(dir.join('root/sparse'))
  await using nginx = await startNginx({ root: dir.join('root') })
  await using net = await devnet({ peers: 2 })
  const [first, second] = net.peers
  const get = async (peer: typeof first, output: string, ...more: string[]) =>
    resultOf(await peer!.dfget([nginx.url('sparse'), '-O', output, '--json', ...more], { timeoutMs: TIMEOUT_MS / 2 }))
  await get(first, dir.join('1'))
  const result = await get(second, dir.join('2'), '--digest', `sha256:${sha256}`)
  expect(result).toMatchObject({ bytesFromSource: 0, bytesFromPeers: SIZE + BEHIND_4_GIB_BYTES })
  expect((await run('cmp', [dir.join('root/sparse'), dir.join('2')])).code).toBe(0)
  for (const peer of net.peers) expect(peer.rssPeakBytes() / MiB).toBeLessThan(250)
})
