import { type Channel, openChannel, type SchedulerClient, schedulerClient } from '#api'
import { hostMessageOf, LoadPeer, TASK_ID } from './scheduler-peer.ts'

/** What the process that makes the load is told by IPC. */
export type LoadOrder =
  /** Announce so many hosts, and register a peer of each. */
  | { readonly do: 'join'; readonly address: string; readonly peers: number; readonly connections: number }
  /** Say so many times that a piece is here; `perSecond`, or as fast as the sockets take it. */
  | { readonly do: 'report'; readonly reports: number; readonly perSecond?: number }
  /** Wait until all that was said was taken. */
  | { readonly do: 'settle' }
  /** Ask so many times for more parents, so many peers at once. */
  | { readonly do: 'plan'; readonly plans: number; readonly atOnce: number }
  | { readonly do: 'leave' }

export interface LoadResult {
  readonly ms: number
  /** How long the answers took; 0 where there are none. */
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Hosts that are announced, and peers that register, at once. */
const AT_ONCE = 64
/** Reports that are written before anything else is done: one for each of so many connections. */
const MOST_REPORTS_AT_ONCE = 100
/** A prime: peers far from each other ask one after another. */
const STRIDE = 7919

const channels: Channel[] = []
const clients: SchedulerClient[] = []
const peers: LoadPeer[] = []

process.on('message', (order: LoadOrder) => {
  obey(order).then(
    (result) => process.send?.(result),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit())

function obey(order: LoadOrder): Promise<LoadResult> {
  switch (order.do) {
    case 'join':
      return join(order.address, order.peers, order.connections)
    case 'report':
      return report(order.reports, order.perSecond ?? Number.POSITIVE_INFINITY)
    case 'settle':
      return settle()
    case 'plan':
      return timed(order.plans, order.atOnce, (index) => peerAt(1 + ((index * STRIDE) % (peers.length - 1))).plan())
    case 'leave':
      return leave()
  }
}

/** The time is that of the registrations. The first peer reads the origin, the others are named parents. */
async function join(address: string, count: number, connections: number): Promise<LoadResult> {
  for (let index = 0; index < connections; index++) {
    const channel = openChannel(address, { unavailable: 'scheduler.unavailable' })
    channels.push(channel)
    clients.push(schedulerClient(channel))
  }
  await timed(count, AT_ONCE, async (index) => {
    await clientAt(index).announceHost({ host: hostMessageOf(index), interval: { seconds: 3600, nanos: 0 } })
  })
  for (let index = 0; index < count; index++) peers.push(new LoadPeer(index, clientAt(index)))
  await peerAt(0).join()
  return timed(count - 1, AT_ONCE, (index) => peerAt(1 + index).join())
}

/** One peer after another, those of different connections next to each other: no segment carries two messages. */
async function report(count: number, perSecond: number): Promise<LoadResult> {
  const started = performance.now()
  const atOnce = Math.min(MOST_REPORTS_AT_ONCE, channels.length)
  let sent = 0
  while (sent < count) {
    const due = Math.min(count, ((performance.now() - started) / 1000) * perSecond)
    const some = Math.min(atOnce, Math.floor(due - sent))
    if (some <= 0) await new Promise((resolve) => setTimeout(resolve, 1))
    else await Promise.all(Array.from({ length: some }, (_, index) => peerAt((sent + index) % peers.length).report()))
    sent += Math.max(0, some)
  }
  return { ms: performance.now() - started, p50Ms: 0, p99Ms: 0 }
}

/** A connection hands on its messages in their order: when its last one is answered all were taken. */
async function settle(): Promise<LoadResult> {
  const started = performance.now()
  for (const client of clients) await client.statTask({ hostId: '', taskId: TASK_ID }).catch(() => undefined)
  return { ms: performance.now() - started, p50Ms: 0, p99Ms: 0 }
}

async function leave(): Promise<LoadResult> {
  const started = performance.now()
  for (const peer of peers.splice(0)) peer.leave()
  clients.length = 0
  await Promise.all(channels.splice(0).map((channel) => channel[Symbol.asyncDispose]()))
  return { ms: performance.now() - started, p50Ms: 0, p99Ms: 0 }
}

/** Does it `count` times, some of them at once. */
async function timed(count: number, atOnce: number, work: (index: number) => Promise<void>): Promise<LoadResult> {
  const times = new Float64Array(count)
  const started = performance.now()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      const from = performance.now()
      await work(index)
      times[index] = performance.now() - from
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
  times.sort()
  const at = (part: number): number => times[Math.min(count - 1, Math.floor(count * part))] ?? 0
  return { ms: performance.now() - started, p50Ms: at(0.5), p99Ms: at(0.99) }
}

function peerAt(index: number): LoadPeer {
  const peer = peers[index]
  if (peer === undefined) throw new Error(`there is no peer ${index}`)
  return peer
}

function clientAt(index: number): SchedulerClient {
  const client = clients[index % clients.length]
  if (client === undefined) throw new Error('there is no connection')
  return client
}
