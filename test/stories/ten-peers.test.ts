import { expect, test } from 'vitest'
import { devnet, startNginx, startOrigin, tempDir } from '#devnet'
import { expectFile, expectOnly, MiB, resultOf, STORY } from './story.ts'

test('ten hosts ask at once for 256 MiB: all get it, and the origin is read once', STORY, async () => {
  const content = { size: 256 * MiB, seed: 'ten peers' }
  await using dir = await tempDir('ten')
  await using nginx = await startNginx({ files: { 'model.bin': content } })
  await using net = await devnet({ peers: 10, seeds: 1 })

  const rans = await Promise.all(
    net.peers.map((peer) => peer.dfget([nginx.url('model.bin'), '-O', dir.join(peer.name), '--json'])),
  )
  for (const ran of rans) expect(resultOf(ran)).toMatchObject({ bytes: content.size, bytesFromSource: 0 })
  for (const peer of net.peers) await expectFile(dir.join(peer.name), content)
  expect(await nginx.bytesSent()).toBeLessThanOrEqual(content.size * 1.01)
  await expectOnly(
    dir.path,
    net.peers.map(({ name }) => name),
  )
})

test('hosts without a seed among them ask at once: the origin is still read about once', STORY, async () => {
  const content = { size: 64 * MiB, seed: 'no seed' }
  await using dir = await tempDir('ten')
  await using nginx = await startNginx({ files: { 'model.bin': content } })
  await using net = await devnet({ peers: 4 })

  const rans = await Promise.all(
    net.peers.map((peer) => peer.dfget([nginx.url('model.bin'), '-O', dir.join(peer.name), '--json'])),
  )
  for (const ran of rans) expect(resultOf(ran).bytes).toBe(content.size)
  for (const peer of net.peers) await expectFile(dir.join(peer.name), content)
  expect(await nginx.bytesSent()).toBeLessThanOrEqual(content.size * 1.01)
})

test('hosts that ask at once give to one another: the seed does not send the file to each of them', STORY, async () => {
  const content = { size: 64 * MiB, seed: 'spread' }
  const upload = { upload: { rateLimit: '32MiB' } }
  await using dir = await tempDir('ten')
  await using nginx = await startNginx({ files: { 'model.bin': content } })
  await using net = await devnet({ peers: 6, seeds: 1, peerSettings: upload, seedSettings: upload })

  const rans = await Promise.all(
    net.peers.map((peer) => peer.dfget([nginx.url('model.bin'), '-O', dir.join(peer.name), '--json'])),
  )
  const fromSeed = rans.flatMap((ran) =>
    Object.entries(resultOf(ran).bytesByParentHost).flatMap(([host, bytes]) => (host.endsWith('-seed') ? [bytes] : [])),
  )
  for (const peer of net.peers) await expectFile(dir.join(peer.name), content)
  expect(fromSeed.some((bytes) => bytes > 0)).toBe(true)
  const sent = fromSeed.reduce((sum, bytes) => sum + bytes, 0)
  expect(sent).toBeLessThan(0.85 * net.peers.length * content.size)
})

test('who asks later reads nothing at the origin, although the seed is gone', STORY, async () => {
  const content = { size: 20 * MiB, seed: 'later' }
  await using dir = await tempDir('ten')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, seeds: 1 })
  const [first, second] = net.peers
  resultOf(await first!.dfget([nginx.url('f'), '-O', dir.join('1'), '--json']))
  const before = await nginx.bytesSent()
  await net.seeds[0]!.kill('SIGTERM')
  const result = resultOf(await second!.dfget([nginx.url('f'), '-O', dir.join('2'), '--json']))
  expect(result).toMatchObject({ bytesFromSource: 0, bytesFromPeers: content.size })
  expect(Object.keys(result.bytesByParentHost).join()).toContain('peer-1')
  expect(await nginx.bytesSent()).toBe(before)
  await expectFile(dir.join('2'), content)
})

test(
  'the origin is gone: who asks gets the file from who has it, even when told not to read the origin',
  STORY,
  async () => {
    const content = { size: 20 * MiB, seed: 'gone' }
    await using dir = await tempDir('ten')
    await using origin = await startOrigin({ content })
    const retry = { attempts: 2, probeAttempts: 2, maxDelay: '300ms' }
    await using net = await devnet({ peers: 3, peerSettings: { sources: { retry } } })
    const [first, second, third] = net.peers
    resultOf(await first!.dfget([origin.url(), '-O', dir.join('1'), '--json']))
    await origin.refuse()
    const fromFirst = await second!.dfget([origin.url(), '-O', dir.join('2'), '--json'])
    expect(resultOf(fromFirst).bytesFromPeers).toBe(content.size)
    const fromBoth = await third!.dfget([origin.url(), '-O', dir.join('3'), '--json', '--disable-back-source'])
    expect(resultOf(fromBoth).bytesFromPeers).toBe(content.size)
    for (const name of ['1', '2', '3']) await expectFile(dir.join(name), content)
    await origin.accept()
  },
)
