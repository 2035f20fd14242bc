import { expect, test } from 'vitest'
import { Download, isServing, openChannel } from '#api'
import { DOWNLOAD, type TestHost, TestNet, type TestPeer, UNDESCRIBED } from './testkit/net.ts'
import { DESCRIBED, MiB, TASK_ID } from './testkit/swarm.ts'
import { settled } from './testkit/fake-clock.ts'

/** A seed that reads the origin and says so; it never ends until told to. */
function readingSeed(peers: TestPeer[], download = DOWNLOAD) {
  return async (_wish: Download, seed: { readOrigin(download: Download): Promise<TestPeer> }, signal: AbortSignal) => {
    peers.push(await seed.readOrigin({ ...download, needBackToSource: true }))
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 5000 && !holds(); turn++) await new Promise((resolve) => setTimeout(resolve, 1))
  expect(holds()).toBe(true)
}

test('the scheduler says that it is well', async () => {
  await using net = await TestNet.start()
  await using channel = openChannel(net.scheduler.address)
  expect(await isServing(channel)).toBe(true)
  expect(await isServing(channel, 'scheduler.v2.Scheduler')).toBe(true)
})

test('a host that did not announce itself is told so', async () => {
  await using net = await TestNet.start()
  const host = await net.host('a')
  await net.client.deleteHost({ hostId: 'a' })
  using peer = await host.register()
  await expect(peer.answer('normalTaskResponse')).rejects.toMatchObject({ code: 'host.unknown' })
})

test('the first host reads the origin, the next one gets it as parent, and both finish', async () => {
  await using net = await TestNet.start()
  const [a, b] = [await net.host('a'), await net.host('b')]
  using reader = await a.register()
  const told = await reader.answer('needBackToSourceResponse')
  expect(told.facts?.signers.map(({ hostId }) => hostId)).toEqual(['a'])
  await reader.pieces([0, 1])

  using child = await b.register()
  const plan = await child.answer('normalTaskResponse')
  expect(plan.candidateParents.map(({ id, host }) => [id, host?.id, host?.ip, host?.port])).toEqual([
    [reader.id, 'a', '127.0.0.1', 4000],
  ])
  expect(plan.facts).toMatchObject({
    version: DESCRIBED.version,
    contentLength: 40 * MiB,
    pieceLength: 4 * MiB,
    etag: '"1"',
  })
  expect(plan.facts?.signers.map(({ hostId }) => hostId)).toEqual(['a'])
  await child.started()
  await child.pieces([0, 1, 2], reader.id)
  await reader.finishReading()
  await child.finish()
  expect(net.scheduler.stats()).toMatchObject({ hosts: 2, edges: 0, peers: { succeeded: 2, running: 0 } })
  expect(await net.client.statTask({ hostId: 'a', taskId: TASK_ID })).toMatchObject({
    state: 'Succeeded',
    contentLength: 40 * MiB,
    pieceCount: 10,
    peerCount: 2,
    hasAvailablePeer: true,
  })
})

test('while one host reads the origin nobody else is sent there, however many ask', async () => {
  await using net = await TestNet.start()
  const hosts = await Promise.all(Array.from({ length: 20 }, (_, index) => net.host(`h${index}`)))
  const peers = await Promise.all(hosts.map((host) => host.register()))
  const answers = await Promise.all(
    peers.map(async (peer) => {
      try {
        await peer.answer('needBackToSourceResponse')
        return 'source'
      } catch (error) {
        return String(error).includes('got normalTaskResponse') ? 'parents' : String(error)
      }
    }),
  )
  expect(answers.filter((answer) => answer === 'source')).toHaveLength(1)
  expect(answers.filter((answer) => answer === 'parents')).toHaveLength(19)
  for (const peer of peers) peer[Symbol.dispose]()
})

test('a seed is woken once for all, with the wish of the first child and every unknown field of it', async () => {
  await using net = await TestNet.start()
  const wishes: Download[] = []
  const seedPeers: TestPeer[] = []
  const reading = readingSeed(seedPeers)
  await net.seed('s', (wish, seed, signal) => {
    wishes.push(wish)
    return reading(wish, seed, signal)
  })
  const hosts = await Promise.all(['a', 'b', 'c'].map((id) => net.host(id)))
  const wish = Download.decode(
    Buffer.concat([
      Download.encode({ ...DOWNLOAD, outputPath: '/tmp/x', streamContent: true, rateLimit: 5, digest: '' }).finish(),
      Buffer.from('a20203616263', 'hex'), // field 36, of a version to come
    ]),
  )
  const children = await Promise.all(hosts.map((host) => host.register(wish)))
  for (const child of children) expect((await child.parents())[0]).toMatch(/^s-peer/)
  expect(wishes).toHaveLength(1)
  const [first] = wishes
  expect(first).toMatchObject({
    needBackToSource: true,
    streamContent: false,
    version: DESCRIBED.version,
    url: DOWNLOAD.url,
  })
  expect(first?.outputPath).toBeUndefined()
  expect(first?.rateLimit).toBeUndefined()
  expect(Buffer.from(Download.encode(first ?? UNDESCRIBED).finish()).toString('latin1')).toContain('\xa2\x02\x03abc')
  for (const peer of [...children, ...seedPeers]) peer[Symbol.dispose]()
})

test('a host that cannot look at the origin waits for a seed, and is told what the seed found', async () => {
  await using net = await TestNet.start()
  const seedPeers: TestPeer[] = []
  await net.seed('s', readingSeed(seedPeers))
  using child = await (await net.host('a')).register(UNDESCRIBED)
  const plan = await child.answer('normalTaskResponse')
  expect(plan.candidateParents.map(({ id }) => id)).toEqual([expect.stringMatching(/^s-peer/)])
  expect(plan.facts).toMatchObject({ version: DESCRIBED.version, contentLength: 40 * MiB, pieceLength: 4 * MiB })
  expect(plan.facts?.signers.map(({ hostId }) => hostId)).toEqual(['s'])
  for (const peer of seedPeers) peer[Symbol.dispose]()
})

test('a host that cannot look at the origin is sent there when there is no seed, with no facts', async () => {
  await using net = await TestNet.start()
  using child = await (await net.host('a')).register(UNDESCRIBED)
  const told = await child.answer('needBackToSourceResponse')
  expect(told.facts).toBeUndefined()
})

test('a host that cannot look at the origin is told why the seed could not either', async () => {
  await using net = await TestNet.start()
  await net.seed('s', () => Promise.reject(new Error('not told to strangers')))
  using child = await (await net.host('a')).register(UNDESCRIBED)
  const told = await child.answer('needBackToSourceResponse')
  expect(told.description).toContain('internal error')
})

test('when the seed dies the children that wait go on with the next seed', async () => {
  await using net = await TestNet.start({ retryInterval: '1h' })
  const order: string[] = []
  const diesFirst = async (_wish: Download, seed: TestHost): Promise<void> => {
    order.push(seed.id)
    if (order.length === 1) throw new Error('it dies')
    using peer = await seed.readOrigin({ ...DOWNLOAD, needBackToSource: true })
    await peer.ended()
  }
  await net.seed('s1', diesFirst)
  await net.seed('s2', diesFirst)
  using child = await (await net.host('a')).register()
  const [parent] = await child.parents()
  expect(order).toHaveLength(2)
  expect(parent).toContain(`${order[1]}-peer`)
})

test('a seed that dies while it reads is no parent any more, and its children get another', async () => {
  await using net = await TestNet.start({ retryInterval: '1h' })
  const order: string[] = []
  const death = new AbortController()
  const reads = async (_wish: Download, seed: TestHost): Promise<void> => {
    order.push(seed.id)
    const first = order.length === 1
    using peer = await seed.readOrigin({ ...DOWNLOAD, needBackToSource: true })
    if (!first) await peer.ended()
    await until(() => death.signal.aborted)
    throw new Error('it dies')
  }
  await net.seed('s1', reads)
  await net.seed('s2', reads)
  using child = await (await net.host('a')).register()
  const [first] = await child.parents()
  await child.started()
  death.abort()
  await until(() => net.scheduler.stats().peers.failed === 1)
  await child.say({ $case: 'reschedulePeerRequest', value: { candidateParents: [], description: 'gone' } })
  const [second] = await child.parents()
  expect(order).toHaveLength(2)
  expect([first, second].map((id) => id?.split('-')[0])).toEqual(order)
})

test('when every seed is gone one child reads the origin, and its word counts', async () => {
  await using net = await TestNet.start()
  await net.seed('s', () => Promise.reject(new Error('no')))
  using child = await (await net.host('a')).register()
  const told = await child.answer('needBackToSourceResponse')
  expect(told.facts?.signers.map(({ hostId }) => hostId)).toEqual(['a'])
})

test('a host that reads the origin although there are seeds is not believed, and not given to others', async () => {
  await using net = await TestNet.start()
  const seedPeers: TestPeer[] = []
  await net.seed('s', readingSeed(seedPeers))
  using loner = await (await net.host('a')).register({ ...DOWNLOAD, needBackToSource: true })
  const told = await loner.answer('needBackToSourceResponse')
  expect(told.facts?.signers).toEqual([])
  using child = await (await net.host('b')).register()
  const plan = await child.answer('normalTaskResponse')
  expect(plan.candidateParents.map(({ id }) => id)).toEqual([expect.stringMatching(/^s-peer/)])
  expect(plan.facts?.signers.map(({ hostId }) => hostId)).toEqual(['s'])
  for (const peer of seedPeers) peer[Symbol.dispose]()
})

test('an empty resource is answered as such, but not to who could not look', async () => {
  await using net = await TestNet.start()
  const [a, b] = [await net.host('a'), await net.host('b')]
  using empty = await a.register({ ...DOWNLOAD, actualContentLength: 0, actualPieceCount: 0 })
  await empty.answer('emptyTaskResponse')
  await empty.started()
  await empty.finish()
  using blind = await b.register(UNDESCRIBED)
  const plan = await blind.answer('normalTaskResponse')
  expect(plan.facts?.contentLength).toBe(0)
})

test('a resource of unknown length is no empty one, and its length is learned from who read it', async () => {
  await using net = await TestNet.start()
  const { actualContentLength: _length, actualPieceCount: _count, ...unknown } = DOWNLOAD
  using reader = await (await net.host('a')).register(unknown)
  const told = await reader.answer('needBackToSourceResponse')
  expect(told.facts?.contentLength).toBeUndefined()
  await reader.finishReading(5 * MiB)
  using child = await (await net.host('b')).register(unknown)
  const plan = await child.answer('normalTaskResponse')
  expect(plan.facts?.contentLength).toBe(5 * MiB)
})

test('another version at the origin is another edition: its peers are not mixed', async () => {
  await using net = await TestNet.start()
  const [a, b, c] = [await net.host('a'), await net.host('b'), await net.host('c')]
  using old = await a.readOrigin()
  await old.finishReading()
  using fresh = await b.register({ ...DOWNLOAD, version: 'v2', etag: '"2"' })
  await fresh.answer('needBackToSourceResponse')
  using third = await c.register({ ...DOWNLOAD, version: 'v2', etag: '"2"' })
  expect(await third.parents()).toEqual([fresh.id])
})

test('a finished task is offered again after the scheduler has forgotten it', async () => {
  await using net = await TestNet.start()
  const [a, b] = [await net.host('a'), await net.host('b')]
  using holder = await a.register({ ...DOWNLOAD, metadataOnly: true })
  await holder.answer('metadataOnlyResponse')
  await holder.started()
  await holder.finish()
  using child = await b.register()
  const plan = await child.answer('normalTaskResponse')
  expect(plan.candidateParents.map(({ id }) => id)).toEqual([holder.id])
  expect(plan.facts?.signers.map(({ hostId }) => hostId)).toEqual(['a'])
})

test('a peer whose stream breaks is no parent any more, and the next host reads the origin', async () => {
  await using net = await TestNet.start()
  const reader = await (await net.host('a')).readOrigin()
  reader[Symbol.dispose]()
  await until(() => net.scheduler.stats().peers.failed === 1)
  using next = await (await net.host('b')).register()
  await next.answer('needBackToSourceResponse')
})

test('a finished peer stays a parent after its stream ended', async () => {
  await using net = await TestNet.start()
  using reader = await (await net.host('a')).readOrigin()
  await reader.finishReading()
  using child = await (await net.host('b')).register()
  expect(await child.parents()).toEqual([reader.id])
})

test('children that wait are named the next reader at once when the one that read is lost', async () => {
  await using net = await TestNet.start({ retryInterval: '1h', peerUploadLimit: 1 })
  const [a, b, c] = [await net.host('a'), await net.host('b', { disableShared: true }), await net.host('c')]
  const reader = await a.readOrigin()
  using second = await b.register()
  expect(await second.parents()).toEqual([reader.id])
  // The only place is taken, and there is an hour between two looks: only the news can wake it.
  using third = await c.register()
  await until(() => net.scheduler.stats().waiting === 1)
  reader[Symbol.dispose]()
  await third.answer('needBackToSourceResponse')
})

test('who speaks for another peer on the same stream, or before registering, is refused', async () => {
  await using net = await TestNet.start()
  const host = await net.host('a')
  using twice = await host.register()
  await twice.answer('needBackToSourceResponse')
  await twice.say({ $case: 'registerPeerRequest', value: { download: DOWNLOAD } })
  await expect(twice.ended()).rejects.toMatchObject({ code: 'usage.invalid' })
})

test('a deleted task, peer or host is no parent any more', async () => {
  await using net = await TestNet.start()
  const [a, b] = [await net.host('a'), await net.host('b')]
  using reader = await a.readOrigin()
  await reader.finishReading()
  expect(await net.client.statPeer({ hostId: 'a', taskId: TASK_ID, peerId: reader.id })).toMatchObject({
    id: reader.id,
    state: 'Succeeded',
    host: { id: 'a' },
    task: { id: TASK_ID },
  })
  await net.client.deleteTask({ hostId: 'a', taskId: TASK_ID })
  await expect(net.client.statPeer({ hostId: 'a', taskId: TASK_ID, peerId: reader.id })).rejects.toMatchObject({
    code: 'task.unknown',
  })
  using next = await b.register()
  await next.answer('needBackToSourceResponse')
  await net.client.deleteHost({ hostId: 'b' })
  expect((await net.client.listHosts({})).hosts.map(({ id }) => id)).toEqual(['a'])
  expect(net.scheduler.stats().peers['back-to-source']).toBe(0)
})

test('more than a bounded number of tasks is refused with a way out', async () => {
  await using net = await TestNet.start({ maxTasks: 1 })
  const host = await net.host('a')
  using first = await host.register()
  await first.answer('needBackToSourceResponse')
  using second = await host.register(DOWNLOAD, 'b'.repeat(64))
  await expect(second.ended()).rejects.toMatchObject({ code: 'scheduler.full' })
})

test('a scheduler that is closed ends its streams and its port', async () => {
  const net = await TestNet.start()
  const peer = await (await net.host('a')).register()
  await peer.answer('needBackToSourceResponse')
  await net.scheduler[Symbol.asyncDispose]()
  await expect(peer.ended()).rejects.toBeDefined()
  await settled()
  await using channel = openChannel(net.scheduler.address)
  await expect(isServing(channel)).rejects.toBeDefined()
  peer[Symbol.dispose]()
  await net[Symbol.asyncDispose]()
})
