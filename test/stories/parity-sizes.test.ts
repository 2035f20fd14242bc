import { expect, test } from 'vitest'
import { devnet, startOrigin, tempDir } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, resultOf, STORY } from './story.ts'

// v2.0.2 sends up to 128 bytes inside the answer to a registration, one piece in one request, and the rest by plan.
// Here all go one way; what the user has of it must be the same at every size.
const SIZES = { '100-B': 100, '1-MB': 1_000_000, '20-MB': 20_000_000 }

test(
  'files of 100 B, 1 MB and 20 MB come right through the swarm, each with one read of its origin',
  STORY,
  async () => {
    await using dir = await tempDir('size')
    await using net = await devnet({ peers: 2, seeds: 1 })
    const [first, second] = net.peers
    for (const [name, size] of Object.entries(SIZES)) {
      const content = { size, seed: name }
      await using origin = await startOrigin({ content })
      expect(resultOf(await first!.dfget([origin.url(), '-O', dir.join(`${name}.1`), '--json']))).toMatchObject({
        bytes: size,
        bytesFromPeers: size,
        bytesFromSource: 0,
      })
      expect(resultOf(await second!.dfget([origin.url(), '-O', dir.join(`${name}.2`), '--json']))).toMatchObject({
        bytes: size,
        bytesFromPeers: size,
        bytesFromSource: 0,
      })
      expect(origin.bytesSent, name).toBe(size)
      for (const number of [1, 2]) await expectFile(dir.join(`${name}.${number}`), content)
    }
    await expectOnly(
      dir.path,
      Object.keys(SIZES).flatMap((name) => [`${name}.1`, `${name}.2`]),
    )
  },
)

// In v2.0.2 each of these limits makes every piece fail, because a piece is more than a second's worth.
test('limits far below the length of a piece slow a download down, and break none', STORY, async () => {
  const content = { size: 5 * MiB, seed: 'below' }
  const rateLimit = '2MiB'
  await using dir = await tempDir('size')
  await using net = await devnet({
    peers: 2,
    seeds: 1,
    peerSettings: { download: { rateLimit }, upload: { rateLimit } },
    seedSettings: { download: { rateLimit }, upload: { rateLimit } },
  })
  await using origin = await startOrigin({ content })
  const [first, second] = net.peers
  const began = performance.now()
  expectSuccess(await first!.dfget([origin.url(), '-O', dir.join('1')]))
  // 5 MiB at 2 MiB/s, less the second of credit that a bucket may have at the start.
  expect(performance.now() - began).toBeGreaterThan(1400)
  expectSuccess(await second!.dfget([origin.url(), '-O', dir.join('2'), '--limit', '2M']))
  await expectFile(dir.join('1'), content)
  await expectFile(dir.join('2'), content)
  expect(origin.bytesSent).toBe(content.size)
})

test('a seed reads its origin no faster than its bandwidth cap', STORY, async () => {
  const content = { size: 10 * MiB, seed: 'cap' }
  await using dir = await tempDir('size')
  await using net = await devnet({ seeds: 1, seedSettings: { download: { rateLimit: '4MiB' } } })
  await using origin = await startOrigin({ content })
  const ran = await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f'), '--json'])
  expect(resultOf(ran).bytesFromPeers).toBe(content.size)
  expect(ran.ms).toBeGreaterThan(1400)
  await expectFile(dir.join('f'), content)
})

test('a host gives no faster than its upload limit', STORY, async () => {
  const content = { size: 10 * MiB, seed: 'upload' }
  await using dir = await tempDir('size')
  await using net = await devnet({ seeds: 1, seedSettings: { upload: { rateLimit: '4MiB' } } })
  await using origin = await startOrigin({ content })
  const ran = await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f'), '--json'])
  expect(resultOf(ran).bytesFromPeers).toBe(content.size)
  expect(ran.ms).toBeGreaterThan(1400)
  await expectFile(dir.join('f'), content)
})
