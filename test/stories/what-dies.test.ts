import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { openChannel, schedulerClient } from '#api'
import { isTaskId } from '#core'
import { devnet, type Member, startNginx, startOrigin, tempDir, until } from '#devnet'
import { expectFile, expectOnly, MiB, resultOf, type Result, STORY } from './story.ts'

const SLOW_UPLOAD = { upload: { rateLimit: '6MiB' } }

/** Bytes on the disk of a host, also those of pieces that are not whole yet. */
async function bytesOnDisk(member: Member): Promise<number> {
  const storage = join(member.workhome, 'storage')
  const entries = await readdir(storage, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile())
  const sizes = files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).blocks * 512)
  return (await Promise.all(sizes.map((size) => size.catch(() => 0)))).reduce((sum, size) => sum + size, 0)
}

/** A download at `child`, and its result once `strike` was done in the middle of it. */
async function struck(child: Member, args: readonly string[], strike: () => Promise<void>): Promise<Result> {
  const running = child.dfget([...args, '--json'])
  await until(async () => (await bytesOnDisk(child)) > 1 * MiB, { what: `${child.name} to be in the middle` })
  await strike()
  return resultOf(await running)
}

test('a parent is killed mid-piece: another parent goes on, and the origin is not asked', STORY, async () => {
  const content = { size: 40 * MiB, seed: 'parent' }
  await using dir = await tempDir('dies')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 3, peerSettings: SLOW_UPLOAD })
  const [first, second, third] = net.peers
  for (const peer of [first, second])
    resultOf(await peer!.dfget([nginx.url('f'), '-O', dir.join(peer!.name), '--json']))
  const before = await nginx.bytesSent()

  const result = await struck(third!, [nginx.url('f'), '-O', dir.join('out')], () => first!.kill('SIGKILL'))
  expect(result.bytesFromPeers).toBe(content.size)
  expect(await nginx.bytesSent()).toBe(before)
  await expectFile(dir.join('out'), content)
  await expectOnly(dir.path, ['out', 'peer-1', 'peer-2'])
})

test('the only parent is killed mid-piece: the origin gives the rest', STORY, async () => {
  const content = { size: 40 * MiB, seed: 'only parent' }
  await using dir = await tempDir('dies')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, peerSettings: SLOW_UPLOAD })
  const [first, second] = net.peers
  resultOf(await first!.dfget([nginx.url('f'), '-O', dir.join('1'), '--json']))
  const result = await struck(second!, [nginx.url('f'), '-O', dir.join('2')], () => first!.kill('SIGKILL'))
  expect(result.bytesFromSource).toBeGreaterThan(0)
  expect(result.bytesFromSource + result.bytesFromPeers).toBe(content.size)
  await expectFile(dir.join('2'), content)
  await expectOnly(dir.path, ['1', '2'])
})

test('a parent freezes mid-piece: it is left, and the file comes all the same', STORY, async () => {
  const content = { size: 24 * MiB, seed: 'frozen' }
  await using dir = await tempDir('dies')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, peerSettings: { ...SLOW_UPLOAD, download: { pieceTimeout: '2s' } } })
  const [first, second] = net.peers
  resultOf(await first!.dfget([nginx.url('f'), '-O', dir.join('1'), '--json']))
  await struck(second!, [nginx.url('f'), '-O', dir.join('2')], () => first!.kill('SIGSTOP'))
  await expectFile(dir.join('2'), content)
})

test('the scheduler is killed mid-download: the parents that are known go on', STORY, async () => {
  const content = { size: 40 * MiB, seed: 'scheduler' }
  await using dir = await tempDir('dies')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, peerSettings: SLOW_UPLOAD })
  const [first, second] = net.peers
  resultOf(await first!.dfget([nginx.url('f'), '-O', dir.join('1'), '--json']))
  const before = await nginx.bytesSent()
  const result = await struck(second!, [nginx.url('f'), '-O', dir.join('2')], () => net.scheduler.kill('SIGKILL'))
  expect(result.bytesFromPeers).toBe(content.size)
  expect(await nginx.bytesSent()).toBe(before)
  await expectFile(dir.join('2'), content)

  await net.scheduler.restart()
})

test('the scheduler is dead before the download: the origin gives the file', STORY, async () => {
  const content = { size: 9 * MiB, seed: 'dead scheduler' }
  await using dir = await tempDir('dies')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 1 })
  await net.scheduler.kill('SIGKILL')
  const result = resultOf(await net.peers[0]!.dfget([nginx.url('f'), '-O', dir.join('f'), '--json']))
  expect(result.bytesFromSource).toBe(content.size)
  await expectFile(dir.join('f'), content)
})

/** Whether a scheduler that knew nothing knows both hosts again, and that `first` has a task. */
async function knowsPeers(member: Member, first: Member): Promise<boolean> {
  await using channel = openChannel(`127.0.0.1:${member.ready.schedulerPort}`)
  const scheduler = schedulerClient(channel)
  if ((await scheduler.listHosts({})).hosts.length < 2) return false
  const names = await readdir(join(first.workhome, 'storage', 'tasks'), { recursive: true })
  const taskId = names.map((name) => basename(name)).find((name) => isTaskId(name)) ?? ''
  const known = await scheduler.statTask({ hostId: `127.0.0.1-${first.name}`, taskId }).catch(() => undefined)
  return known?.hasAvailablePeer ?? false
}

test('the scheduler comes back: hosts announce themselves again, and share again', STORY, async () => {
  const content = { size: 9 * MiB, seed: 'again' }
  await using dir = await tempDir('dies')
  await using nginx = await startNginx({ files: { f: content } })
  await using net = await devnet({ peers: 2, peerSettings: { scheduler: { announceInterval: '1s' } } })
  const [first, second] = net.peers
  resultOf(await first!.dfget([nginx.url('f'), '-O', dir.join('1'), '--json']))
  await net.scheduler.restart()
  await until(() => knowsPeers(net.scheduler, first!), { what: 'the hosts to announce themselves and the task' })
  const before = await nginx.bytesSent()
  const result = resultOf(await second!.dfget([nginx.url('f'), '-O', dir.join('2'), '--json']))
  expect(result.bytesFromPeers).toBe(content.size)
  expect(await nginx.bytesSent()).toBe(before)
  await expectFile(dir.join('2'), content)
})

test('the seed is killed mid-download: its children bring the file to its end', STORY, async () => {
  const content = { size: 24 * MiB, seed: 'seed' }
  await using dir = await tempDir('dies')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 8 * MiB } })
  await using net = await devnet({ peers: 2, seeds: 1 })
  const [first, second] = net.peers
  const other = second!.dfget([origin.url(), '-O', dir.join('2'), '--json'])
  const result = await struck(first!, [origin.url(), '-O', dir.join('1')], () => net.seeds[0]!.kill('SIGKILL'))
  expect(result.bytes).toBe(content.size)
  expect(resultOf(await other).bytes).toBe(content.size)
  await expectFile(dir.join('1'), content)
  await expectFile(dir.join('2'), content)
  await expectOnly(dir.path, ['1', '2'])
})

test('a daemon is killed with -9 and restarted: what it held is not fetched again', STORY, async () => {
  const content = { size: 40 * MiB, seed: 'kill -9' }
  await using dir = await tempDir('dies')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 16 * MiB } })
  await using net = await devnet({ peers: 1 })
  const [peer] = net.peers
  const first = await peer!.startDfget([origin.url(), '-O', dir.join('f')])
  await until(async () => (await bytesOnDisk(peer!)) > 18 * MiB)
  first.kill('SIGKILL')
  await peer!.kill('SIGKILL')
  await first.exited
  const sentBefore = origin.bytesSent
  expect(sentBefore).toBeLessThan(content.size)
  origin.faults.bytesPerSecond = undefined

  await peer!.restart()
  const result = resultOf(await peer!.dfget([origin.url(), '-O', dir.join('f'), '--json']))
  expect(result.bytesLocal).toBeGreaterThanOrEqual(12 * MiB)
  expect(result.bytesLocal + result.bytesFromSource).toBe(content.size)
  expect(origin.bytesSent - sentBefore).toBeLessThanOrEqual(content.size - result.bytesLocal)
  await expectFile(dir.join('f'), content)
  await expectOnly(dir.path, ['f'])
})

test('a finished task survives kill -9: the second download reads nothing at the origin', STORY, async () => {
  const content = { size: 12 * MiB, seed: 'finished' }
  await using dir = await tempDir('dies')
  await using origin = await startOrigin({ content })
  await using net = await devnet({ peers: 1 })
  const [peer] = net.peers
  resultOf(await peer!.dfget([origin.url(), '-O', dir.join('1'), '--json']))
  await peer!.restart()
  const result = resultOf(await peer!.dfget([origin.url(), '-O', dir.join('2'), '--json']))
  expect(result).toMatchObject({ bytesLocal: content.size, bytesFromSource: 0, bytesFromPeers: 0 })
  expect(origin.bytesSent).toBeLessThanOrEqual(content.size + 1024)
  await expectFile(dir.join('2'), content)
})

test.each([
  ['killed', 'SIGKILL'],
  ['stopped', 'SIGTERM'],
] as const)('the daemon is %s mid-download: dfget says so and reads the source itself', STORY, async (_, signal) => {
  const content = { size: 24 * MiB, seed: 'fallback' }
  await using dir = await tempDir('dies')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 8 * MiB } })
  await using net = await devnet({ peers: 1 })
  const [peer] = net.peers
  const running = peer!.dfget([origin.url(), '-O', dir.join('f')])
  await until(async () => (await bytesOnDisk(peer!)) > 5 * MiB)
  await peer!.kill(signal)
  const ran = await running
  expect(ran.code, ran.stderr).toBe(0)
  expect(ran.stdout).toMatch(/^daemon downloads file error: /m)
  expect(ran.stdout).toMatch(/^try to download from source and ignore rate limit$/m)
  expect(ran.stdout).toMatch(/^download success: true cost: \d+ ms $/m)
  await expectFile(dir.join('f'), content)
  await expectOnly(dir.path, ['f'])
})

test('a range of a download whose daemon dies is still that range', STORY, async () => {
  const content = { size: 24 * MiB, seed: 'range fallback' }
  await using dir = await tempDir('dies')
  await using origin = await startOrigin({ content, faults: { bytesPerSecond: 8 * MiB } })
  await using net = await devnet({ peers: 1 })
  const [peer] = net.peers
  const running = peer!.dfget([origin.url(), '-O', dir.join('f'), '--range', '3-20000001'])
  await until(async () => (await bytesOnDisk(peer!)) > 5 * MiB)
  await peer!.kill('SIGKILL')
  expect((await running).code).toBe(0)
  const { bytesOf } = await import('#devnet')
  await expectFile(dir.join('f'), bytesOf(content).subarray(3, 20_000_002))
})
