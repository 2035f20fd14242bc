import { expect, test } from 'vitest'
import { AnnouncePeerResponse, type AnnouncePeerRequest, type SchedulerClient } from '#api'
import { Failure } from '#core'
import { silentLog } from '#runtime'
import { MessageQueue } from './message-queue.ts'
import { schedulerPlanner } from './scheduler-planner.ts'

/** A scheduler that says what the test says, and remembers what it heard. */
function fakeScheduler() {
  const heard: NonNullable<AnnouncePeerRequest['request']>[] = []
  const answers = new MessageQueue<AnnouncePeerResponse>(100)
  const call = {
    send: ({ request }: AnnouncePeerRequest) => {
      if (request !== undefined) heard.push(request)
      return Promise.resolve()
    },
    end: () => answers.end(),
    responses: answers,
    [Symbol.dispose]: () => answers.end(),
  }
  const client = { address: 'fake:1', connections: 1, announcePeer: () => call } as unknown as SchedulerClient
  const name = (...hostnames: string[]): void =>
    answers.add(
      AnnouncePeerResponse.fromPartial({
        response: {
          $case: 'normalTaskResponse',
          value: {
            candidateParents: hostnames.map((hostname) => ({
              id: `peer-${hostname}`,
              host: { id: hostname, hostname, ip: '127.0.0.1', port: 4000 },
            })),
          },
        },
      }),
    )
  const nonsense = (): void => answers.add(AnnouncePeerResponse.fromPartial({}))
  return { client, heard, name, nonsense }
}

function session(client: SchedulerClient) {
  const host = { id: '127.0.0.1-me', ip: '127.0.0.1', hostname: 'me', seed: false }
  const announce = (): Promise<void> => Promise.resolve()
  const planner = schedulerPlanner({ host, schedulers: [client], announce, scheduleTimeoutMs: 60_000, log: silentLog })
  return planner.begin({
    taskId: 'a'.repeat(64),
    url: 'http://origin/file',
    headers: {},
    tag: '',
    application: '',
    filteredQueryParams: [],
    requestedPieceLength: undefined,
    found: undefined,
    range: undefined,
    disableBackSource: false,
    needBackSource: false,
  })
}

const forever = new AbortController().signal
const hostsOf = (plan: unknown) => (plan as { parents: { hostname: string }[] }).parents.map(({ hostname }) => hostname)
const echoed = (heard: ReturnType<typeof fakeScheduler>['heard']) =>
  heard.flatMap((said) =>
    said.$case === 'reschedulePeerRequest' ? [said.value.candidateParents.map(({ id }) => id)] : [],
  )

test('who asks for another plan gives up the parents it had; who refreshes gives up nobody', async () => {
  const { client, heard, name } = fakeScheduler()
  await using plans = session(client)
  name('a')
  expect(hostsOf(await plans.next(forever))).toEqual(['a'])
  name('a', 'b')
  expect(hostsOf(await plans.refresh?.(forever))).toEqual(['a', 'b'])
  name('c')
  expect(hostsOf(await plans.next(forever))).toEqual(['c'])
  expect(echoed(heard)).toEqual([[], ['peer-a', 'peer-b']])
})

test('an answer to a refresh that comes when the round is over is the next plan: nobody new is given up', async () => {
  const { client, heard, name } = fakeScheduler()
  await using plans = session(client)
  name('a')
  await plans.next(forever)
  const over = new AbortController()
  const refreshing = plans.refresh?.(over.signal)
  over.abort(new Failure('download.cancelled', 'the round is over'))
  await expect(refreshing).rejects.toThrow('the round is over')
  name('fresh')
  expect(hostsOf(await plans.next(forever))).toEqual(['fresh'])
  expect(echoed(heard)).toEqual([[]])
})

test('a refresh that failed is no end of it: the next one is asked for anew', async () => {
  const { client, name, nonsense } = fakeScheduler()
  await using plans = session(client)
  name('a')
  await plans.next(forever)
  nonsense()
  await expect(plans.refresh?.(forever)).rejects.toMatchObject({ code: 'scheduler.unavailable' })
  name('b')
  expect(hostsOf(await plans.refresh?.(forever))).toEqual(['b'])
})

test('who leaves does not wait for a refresh that is under way', async () => {
  const { client, name } = fakeScheduler()
  await using plans = session(client)
  name('a')
  await plans.next(forever)
  const over = new AbortController()
  plans.refresh?.(over.signal).catch(() => undefined)
  over.abort()
  const leaving = new AbortController()
  const next = plans.next(leaving.signal)
  leaving.abort(new Failure('download.cancelled', 'gone'))
  await expect(next).rejects.toThrow('gone')
})

test('a scheduler that ends the talk plans the source', async () => {
  const { client, name } = fakeScheduler()
  await using plans = session(client)
  name('a')
  await plans.next(forever)
  client.announcePeer().end()
  expect(await plans.next(forever)).toMatchObject({ kind: 'source' })
})
