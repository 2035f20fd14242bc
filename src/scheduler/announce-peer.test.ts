import { expect, test } from 'vitest'
import { AnnouncePeerRequest, Peer, TaskFacts } from '#api'
import { Failure } from '#core'
import { silentLog } from '#runtime'
import { announcePeer } from './announce-peer.ts'
import { Outbox } from './outbox.ts'
import { FakeClock, settled } from './testkit/fake-clock.ts'
import { DOWNLOAD, UNDESCRIBED } from './testkit/net.ts'
import { DESCRIBED, LIMITS, TASK_ID, TestSwarm } from './testkit/swarm.ts'

type Said = NonNullable<AnnouncePeerRequest['request']>

/** A talk without a network: what the host says comes when the test says so, and never ends by itself. */
function talk(net: TestSwarm) {
  const call = new AbortController()
  const requests = new Outbox<AnnouncePeerRequest>()
  const ids = AnnouncePeerRequest.fromPartial({ hostId: 'host', taskId: TASK_ID, peerId: 'peer' })
  const say = (request: Said, more: Partial<AnnouncePeerRequest> = {}): void =>
    requests.put({ ...ids, ...more, request })
  const seeds = { mayWake: false, wake: () => undefined, registered: () => false }
  const deps = { swarm: net.swarm, seeds, clock: new FakeClock(), limits: LIMITS, random: () => 0, log: silentLog }
  const answers = announcePeer(requests, deps, call.signal)
  return { answers, call, say, peer: () => net.task.peers.get('peer') }
}

const REGISTER: Said = { $case: 'registerPeerRequest', value: { download: DOWNLOAD } }
const FORBIDDEN: Said = {
  $case: 'registerPeerRequest',
  value: { download: { ...DOWNLOAD, disableBackToSource: true } },
}

function netWithHost(): TestSwarm {
  const net = new TestSwarm()
  net.host('host')
  return net
}

test('a caller that hangs up while it waits fails its peer at once', async () => {
  const net = netWithHost()
  const { answers, call, say, peer } = talk(net)
  say(FORBIDDEN)
  const next = answers.next()
  await settled()
  expect([peer()?.state, net.task.bell.waiting]).toEqual(['received-normal', 1])
  call.abort(new Failure('download.cancelled', 'gone'))
  expect(peer()?.state).toBe('failed')
  expect((await next).done).toBe(true)
  await settled()
  expect(net.task.bell.waiting).toBe(0)
})

test('the stream ends after the last word, though the host says no end', async () => {
  const { answers, say, peer } = talk(netWithHost())
  say(REGISTER)
  expect((await answers.next()).value?.response?.$case).toBe('needBackToSourceResponse')
  say({ $case: 'downloadPeerBackToSourceStartedRequest', value: { facts: undefined } })
  say({ $case: 'downloadPeerBackToSourceFinishedRequest', value: { contentLength: undefined } })
  expect((await answers.next()).done).toBe(true)
  expect(peer()?.state).toBe('succeeded')
})

test('who speaks before it has registered is refused', async () => {
  const { answers, say } = talk(netWithHost())
  say({ $case: 'downloadPeerStartedRequest', value: {} })
  await expect(answers.next()).rejects.toMatchObject({ code: 'usage.invalid' })
})

test.each([{ peerId: 'other' }, { hostId: 'other' }, { taskId: 'b'.repeat(64) }])(
  'a stream that began for one peer cannot speak for another: %o',
  async (other) => {
    const net = netWithHost()
    net.host('other')
    const { answers, say, peer } = talk(net)
    say(REGISTER)
    await answers.next()
    say({ $case: 'downloadPeerFinishedRequest', value: {} }, other)
    await expect(answers.next()).rejects.toMatchObject({ code: 'usage.invalid' })
    expect(peer()?.state).toBe('failed')
  },
)

test('a task id that is none is refused, and takes no place', async () => {
  const net = netWithHost()
  const { answers, say } = talk(net)
  say(REGISTER, { taskId: '../x' })
  await expect(answers.next()).rejects.toMatchObject({ code: 'usage.invalid' })
  expect(net.swarm.tasks.size).toBe(1)
})

test('a peer that was forgotten meanwhile is told so when it speaks again', async () => {
  const net = netWithHost()
  const { answers, say, peer } = talk(net)
  say(REGISTER)
  await answers.next()
  const forgotten = peer()
  if (forgotten !== undefined) net.swarm.move(forgotten, 'leave', net.nowMs)
  say({ $case: 'downloadPeerStartedRequest', value: {} })
  await expect(answers.next()).rejects.toMatchObject({ code: 'task.unknown' })
})

test('a host that comes back for more is given others than those it names', async () => {
  const net = netWithHost()
  const [first, second] = [net.peer('first', 'reading'), net.peer('second', 'reading')]
  const { answers, say } = talk(net)
  const named = async (): Promise<string[]> => {
    const response = (await answers.next()).value?.response
    if (response?.$case !== 'normalTaskResponse') return []
    return response.value.candidateParents.map((parent: Peer) => parent.id)
  }
  say(REGISTER)
  expect(new Set(await named())).toEqual(new Set([first.id, second.id]))
  say({ $case: 'downloadPeerStartedRequest', value: {} })
  const candidateParents = [Peer.fromPartial({ id: first.id })]
  say({ $case: 'reschedulePeerRequest', value: { candidateParents, description: 'too slow' } })
  expect(await named()).toEqual([second.id])
  expect([first.children.size, second.children.size]).toEqual([0, 1])
})

test('a host that does not know where the file is gets its edition from its own reading', async () => {
  const net = netWithHost()
  const { answers, say, peer } = talk(net)
  say({ $case: 'registerPeerRequest', value: { download: UNDESCRIBED } })
  await answers.next()
  expect(peer()?.edition).toBeUndefined()
  const { version, etag, contentLength = 0, pieceLength = 0 } = DESCRIBED
  const facts = TaskFacts.fromPartial({ version, etag, contentLength, pieceLength, responseHeader: { a: 'b' } })
  say({ $case: 'downloadPeerBackToSourceStartedRequest', value: { facts } })
  await settled()
  expect(peer()?.edition).toMatchObject({ version, etag, contentLength, pieceLength, headers: { a: 'b' } })
  expect([...(peer()?.edition?.signers.keys() ?? [])]).toEqual(['host'])
  expect(peer()?.unproven).toBe(false)
})

test.each([
  [true, Number.NEGATIVE_INFINITY],
  [false, new FakeClock().now()],
])(
  'a task that a host has from earlier (%s) is not taken for what the origin has now',
  async (metadataOnly, seenAtMs) => {
    const { answers, say, peer } = talk(netWithHost())
    say({ $case: 'registerPeerRequest', value: { download: { ...DOWNLOAD, metadataOnly } } })
    await answers.next()
    expect(peer()?.edition?.validatedAtMs.byAny).toBe(seenAtMs)
  },
)

test('a host that asks for plans and reads none is cut off before it fills the memory', async () => {
  const net = netWithHost()
  net.peer('reader', 'reading')
  const { answers, say, peer } = talk(net)
  say(REGISTER)
  await answers.next()
  for (let asked = 0; asked < 100 && peer()?.connected; asked++) {
    say({ $case: 'reschedulePeerRequest', value: { candidateParents: [] } })
    await settled()
  }
  let read = 0
  const readAll = async (): Promise<void> => {
    while (!(await answers.next()).done) read++
  }
  await expect(readAll()).rejects.toMatchObject({ code: 'usage.invalid' })
  expect(read).toBeLessThan(20)
})
