import { expect, test } from 'vitest'
import { AnnouncePeerResponse, type AnnouncePeerRequest, Host, type SchedulerClient } from '#api'
import { silentLog } from '#runtime'
import type { StoredTask } from '#storage'
import { Announcer } from './announce.ts'
import { MessageQueue } from './message-queue.ts'

/** Finished tasks by their ids, as far as an announcer looks at them. */
function storeOf(...ids: string[]) {
  const tasks = new Map(
    ids.map((taskId) => {
      const meta = { taskId, url: 'http://origin/f', tag: '', application: '', filteredQueryParams: [], headers: {} }
      const more = { pieceLength: 4, version: 'v', etag: '', lastModified: '', contentLength: 4 }
      return [taskId, { meta: { ...meta, ...more }, contentLength: 4, complete: true } as unknown as StoredTask]
    }),
  )
  return { tasks, list: () => [...tasks.values()] }
}

/** A scheduler that answers a registration after `registered`, and remembers in order what it heard of tasks. */
function fakeScheduler(registered: (taskId: string) => void) {
  const heard: string[] = []
  const announcePeer = () => {
    const responses = new MessageQueue<AnnouncePeerResponse>(10)
    return {
      send({ taskId, request }: AnnouncePeerRequest) {
        if (request?.$case === 'registerPeerRequest') {
          registered(taskId)
          responses.add(AnnouncePeerResponse.fromPartial({}))
        }
        if (request?.$case === 'downloadPeerFinishedRequest') heard.push(`has ${taskId}`)
        return Promise.resolve()
      },
      end: () => responses.end(),
      responses,
      [Symbol.dispose]: () => responses.end(),
    }
  }
  const deleteTask = ({ taskId }: { taskId: string }) => Promise.resolve(void heard.push(`lost ${taskId}`))
  const nothing = () => Promise.resolve({})
  const client = { address: 'fake:1', connections: 1, announcePeer, deleteTask, announceHost: nothing }
  return { client: { ...client, deleteHost: nothing } as unknown as SchedulerClient, heard }
}

test('a task that goes while it is offered is not offered for ever: its end is what is told last', async () => {
  const store = storeOf('a', 'b', 'c')
  const scheduler = fakeScheduler((taskId) => {
    if (taskId !== 'a') return
    store.tasks.delete('a')
    store.tasks.delete('b')
  })
  const identity = { id: 'me', ip: '127.0.0.1', hostname: 'me', seed: false }
  const deps = { schedulers: [scheduler.client], identity, host: Host.fromPartial({}), store, intervalMs: 60_000 }
  await using announcer = new Announcer({ ...deps, log: silentLog })
  await announcer.announce()
  await expect.poll(() => scheduler.heard).toEqual(['has a', 'lost a', 'has c'])
})
