import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  Download,
  type DownloadTaskResponse,
  downloadClient,
  isServing,
  openChannel,
  schedulerClient,
  uploadClient,
} from '#api'
import { bytesOf, devnet, type Member, startNginx, startOrigin, tempDir, until } from '#devnet'
import { expectFile, expectOnly, expectSuccess, MiB, resultOf, smallDisk, STORY } from './story.ts'

const content = { size: 6 * MiB, seed: 'daemon parity' }

function socketOf(member: Member): string {
  return `unix:${member.ready.socket}`
}

test('a client of the protocol downloads, asks for, and deletes a task, and the swarm forgets it', STORY, async () => {
  await using dir = await tempDir('par')
  await using origin = await startOrigin({ content })
  await using net = await devnet({ peers: 3 })
  const [first, second, third] = net.peers
  await using channel = openChannel(socketOf(first!))
  await using tcp = openChannel(`127.0.0.1:${first!.ready.uploadPort}`)
  const [daemon, upload] = [downloadClient(channel), uploadClient(tcp)]

  const download = Download.fromPartial({ url: origin.url(), outputPath: dir.join('f') })
  const said: DownloadTaskResponse[] = []
  for await (const message of daemon.downloadTask({ download })) said.push(message)
  expect(said[0]?.response).toMatchObject({
    $case: 'downloadTaskStartedResponse',
    value: { contentLength: content.size },
  })
  const lengths = said.flatMap(({ response }) =>
    response?.$case === 'downloadPieceFinishedResponse' ? [response.value.piece?.length] : [],
  )
  expect(new Set(lengths)).toEqual(new Set([2 * MiB, 4 * MiB]))
  expect(lengths).toHaveLength(2)
  await expectFile(dir.join('f'), content)

  const taskId = said[0]?.taskId ?? ''
  for (const client of [daemon, upload]) {
    expect(await client.statTask({ taskId })).toMatchObject({
      id: taskId,
      url: origin.url(),
      state: 'Succeeded',
      contentLength: content.size,
      pieceCount: 2,
      hasAvailablePeer: true,
    })
  }
  await daemon.deleteTask({ taskId })
  await expect(upload.statTask({ taskId })).rejects.toMatchObject({ code: 'task.unknown' })
  await expect(daemon.deleteTask({ taskId })).rejects.toMatchObject({ code: 'task.unknown' })
  expect(await readdir(join(first!.workhome, 'storage'), { recursive: true })).not.toContain(
    expect.stringContaining(taskId),
  )
  await expectFile(dir.join('f'), content)
  await using toScheduler = openChannel(`127.0.0.1:${net.scheduler.ready.schedulerPort}`)
  const stat = await schedulerClient(toScheduler).statTask({ hostId: '127.0.0.1-peer-1', taskId })
  expect(stat).toMatchObject({ hasAvailablePeer: false })
  // Who was a parent before is none any more: the next host reads the origin, and is one for the host after it.
  const next = resultOf(await second!.dfget([origin.url(), '-O', dir.join('g'), '--json']))
  expect(next.bytesFromSource).toBe(content.size)
  const last = resultOf(await third!.dfget([origin.url(), '-O', dir.join('h'), '--json']))
  expect(last.bytesByParentHost).toEqual({ '127.0.0.1-peer-2': content.size })
})

test('every listener of every program answers the health question of gRPC', STORY, async () => {
  await using net = await devnet({ peers: 1, seeds: 1 })
  for (const member of [...net.peers, ...net.seeds]) {
    await using local = openChannel(socketOf(member))
    await using remote = openChannel(`127.0.0.1:${member.ready.uploadPort}`)
    expect(await isServing(local, 'dfdaemon.v2.DfdaemonDownload')).toBe(true)
    expect(await isServing(remote, 'dfdaemon.v2.DfdaemonUpload')).toBe(true)
  }
  await using scheduler = openChannel(`127.0.0.1:${net.scheduler.ready.schedulerPort}`)
  expect(await isServing(scheduler, 'scheduler.v2.Scheduler')).toBe(true)
})

test(
  'with the scheduler dead a download reads the origin, and with --disable-back-source it fails without',
  STORY,
  async () => {
    await using dir = await tempDir('par')
    await using origin = await startOrigin({ content })
    await using net = await devnet({ peers: 1 })
    await net.scheduler.kill('SIGKILL')
    const refused = await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f'), '--disable-back-source'])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--disable-back-source')])
    expect(origin.bytesSent).toBe(0)
    await expectOnly(dir.path, [])
    expectSuccess(await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f')]))
    await expectFile(dir.join('f'), content)
  },
)

test('a range of a task from before the restart is given from the disk', STORY, async () => {
  await using dir = await tempDir('par')
  await using origin = await startOrigin({ content })
  await using net = await devnet({ peers: 1 })
  const [peer] = net.peers
  expectSuccess(await peer!.dfget([origin.url(), '-O', dir.join('f')]))
  await peer!.restart()
  const args = [origin.url(), '-O', dir.join('g'), '--range', '4194300-5000000', '--json']
  expect(resultOf(await peer!.dfget(args))).toMatchObject({ bytes: 805_701, bytesFromSource: 0, bytesFromPeers: 0 })
  await expectFile(dir.join('g'), bytesOf(content).subarray(4_194_300, 5_000_001))
  expect(origin.bytesSent).toBe(content.size)
})

/** What happens once a minute happens every tenth of a second. */
const QUICK_MINUTES = `
const { setInterval: real } = globalThis
globalThis.setInterval = (work, ms, ...more) => real(work, ms === 60_000 ? 100 : ms, ...more)
`

/** Ids of the tasks that a daemon dropped first. */
function evicted(member: Member): Promise<string[]> {
  const tasksOf = () => member.logLines().flatMap(({ tasks }) => (Array.isArray(tasks) ? tasks.map(String) : []))
  return until(() => (tasksOf().length > 0 ? tasksOf() : undefined), { what: 'a task to be dropped' }).then(
    (ids) => ids ?? [],
  )
}

test('above its capacity a daemon drops the longest unused task first, and tells the scheduler', STORY, async () => {
  await using dir = await tempDir('par')
  await writeFile(dir.join('quick.mjs'), QUICK_MINUTES)
  await using nginx = await startNginx({ files: { a: content, b: content, c: content } })
  await using net = await devnet({ peers: 2 })
  const [keeper, other] = net.peers
  for (const name of ['a', 'b', 'c']) expectSuccess(await keeper!.dfget([nginx.url(name), '-O', dir.join(name)]))
  // Again, so that b is the longest unused.
  expectSuccess(await keeper!.dfget([nginx.url('a'), '-O', dir.join('a')]))
  const env = { NODE_OPTIONS: `--import ${dir.join('quick.mjs')}` }
  await keeper!.kill('SIGTERM')
  await keeper!.restart({ env, settings: { storage: { capacity: '13MiB' } } })
  const [taskId = '', ...more] = await evicted(keeper!)
  expect(more).toEqual([])
  await using channel = openChannel(`127.0.0.1:${net.scheduler.ready.schedulerPort}`)
  const scheduler = schedulerClient(channel)
  await until(async () => !(await scheduler.statTask({ hostId: '127.0.0.1-peer-2', taskId })).hasAvailablePeer)

  const before = await nginx.bytesSent()
  for (const name of ['a', 'c']) {
    const again = await keeper!.dfget([nginx.url(name), '-O', dir.join(name), '--json'])
    expect(resultOf(again).bytesLocal, name).toBe(content.size)
  }
  expect(await nginx.bytesSent()).toBe(before)
  const elsewhere = await other!.dfget([nginx.url('b'), '-O', dir.join('b2'), '--json'])
  expect(resultOf(elsewhere)).toMatchObject({ bytesFromSource: content.size, bytesFromPeers: 0 })
  await expectFile(dir.join('b'), content)
})

// v2.0.2 makes a list of what to remove by force, and throws it away.
test('a disk that is full of tasks nobody uses makes room for a new one', STORY, async (context) => {
  await using dir = await tempDir('par')
  await using disk = await smallDisk(dir.join('small'), 16 * MiB)
  if (disk === undefined) return context.skip('may not mount a small disk here')
  const files = { a: { size: 10 * MiB, seed: 'a' }, b: { size: 10 * MiB, seed: 'b' } }
  await using nginx = await startNginx({ files })
  await using net = await devnet({ peers: 1, peerSettings: { storage: { dir: dir.join('small') } } })
  for (const [name, bytes] of Object.entries(files)) {
    expectSuccess(await net.peers[0]!.dfget([nginx.url(name), '-O', dir.join(name)]))
    await expectFile(dir.join(name), bytes)
  }
})

test('a task that nobody used for its time is dropped, and its outputs stay', STORY, async () => {
  await using dir = await tempDir('par')
  await writeFile(dir.join('quick.mjs'), QUICK_MINUTES)
  await using origin = await startOrigin({ content })
  await using net = await devnet({ peers: 1 })
  const [peer] = net.peers
  expectSuccess(await peer!.dfget([origin.url(), '-O', dir.join('f')]))
  const env = { NODE_OPTIONS: `--import ${dir.join('quick.mjs')}` }
  await peer!.restart({ env, settings: { storage: { taskTtl: '500ms' } } })
  expect(await evicted(peer!)).toHaveLength(1)
  expect(resultOf(await peer!.dfget([origin.url(), '-O', dir.join('g'), '--json'])).bytesLocal).toBe(0)
  for (const name of ['f', 'g']) await expectFile(dir.join(name), content)
})

/** What it tells where its log says that metrics are served. */
async function metricsOf(member: Member): Promise<string> {
  const served = member.logLines().find(({ msg }) => msg === 'metrics are served')
  return (await fetch(`http://127.0.0.1:${Number(served?.['port'])}/metrics`)).text()
}

test('metrics of daemon, seed and scheduler tell what a download did', STORY, async () => {
  await using dir = await tempDir('par')
  await using origin = await startOrigin({ content })
  const settings = { metrics: { listen: '127.0.0.1:0' } }
  const all = { peerSettings: settings, seedSettings: settings, schedulerSettings: settings }
  await using net = await devnet({ peers: 1, seeds: 1, ...all })
  expectSuccess(await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f')]))
  expectSuccess(await net.peers[0]!.dfget([origin.url(), '-O', dir.join('f')]))
  const [peer, seed, scheduler] = [
    await metricsOf(net.peers[0]!),
    await metricsOf(net.seeds[0]!),
    await metricsOf(net.scheduler),
  ]
  expect(peer).toMatch(/^dragonfly_version\{/m)
  expect(peer).toMatch(/^dragonfly_dfdaemon_peer_task_total 2$/m)
  expect(peer).toMatch(/^dragonfly_dfdaemon_peer_task_cache_hit_total 1$/m)
  expect(peer).toMatch(new RegExp(`^dragonfly_dfdaemon_traffic_bytes_total\\{type="p2p"\\} ${content.size}$`, 'm'))
  expect(seed).toMatch(/^dragonfly_dfdaemon_back_to_source_total\{scheme="http"\} 1$/m)
  expect(seed).toMatch(new RegExp(`^dragonfly_dfdaemon_upload_bytes_total ${content.size}$`, 'm'))
  expect(scheduler).toMatch(/^dragonfly_scheduler_hosts 2$/m)
  expect(scheduler).toMatch(/^dragonfly_scheduler_seeds 1$/m)
})

test(
  'of two schedulers one is killed: downloads go on with the other one, and hosts share through it',
  STORY,
  async () => {
    await using dir = await tempDir('par')
    const files = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`f${index}`, { size: MiB, seed: index }]))
    await using nginx = await startNginx({ files })
    await using other = await devnet({ peers: 0 })
    const addrs = (net: { scheduler: Member }) => `127.0.0.1:${net.scheduler.ready.schedulerPort}`
    await using doomed = await devnet({ peers: 0 })
    const peerSettings = { scheduler: { addrs: [addrs(doomed), addrs(other)] } }
    await using net = await devnet({ peers: 2, scheduler: false, peerSettings })
    const [first, second] = net.peers
    await doomed.scheduler.kill('SIGKILL')
    for (const name of Object.keys(files)) {
      expectSuccess(await first!.dfget([nginx.url(name), '-O', dir.join(name)]))
      const result = resultOf(await second!.dfget([nginx.url(name), '-O', dir.join(`${name}.2`), '--json']))
      expect(result, name).toMatchObject({ bytesFromPeers: MiB, bytesFromSource: 0 })
    }
    await using channel = openChannel(addrs(other))
    expect((await schedulerClient(channel).listHosts({})).hosts).toHaveLength(2)
  },
)
