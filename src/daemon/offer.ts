import { AnnouncePeerRequest, type SchedulerClient } from '#api'
import { type HostIdentity, newPeerId } from '#core'
import type { StoredTask } from '#storage'
import type { Registration } from './plan.ts'
import { downloadOf } from './scheduler-planner.ts'

const OFFER_TIMEOUT_MS = 10_000

/** Tells a scheduler that this host has all of a task and gives it to others (wire.md §2.5). */
export async function offerTask(task: StoredTask, scheduler: SchedulerClient, host: HostIdentity): Promise<void> {
  const { taskId } = task.meta
  const base = AnnouncePeerRequest.fromPartial({
    hostId: host.id,
    taskId,
    peerId: newPeerId(host.ip, host.hostname, host.seed),
  })
  using call = scheduler.announcePeer({ signal: AbortSignal.timeout(OFFER_TIMEOUT_MS) })
  const answers = call.responses[Symbol.asyncIterator]()
  const download = downloadOf(registrationOf(task), true)
  await call.send({ ...base, request: { $case: 'registerPeerRequest', value: { download } } })
  await answers.next()
  await call.send({ ...base, request: { $case: 'downloadPeerStartedRequest', value: {} } })
  await call.send({ ...base, request: { $case: 'downloadPeerFinishedRequest', value: {} } })
  call.end()
  while (!(await answers.next()).done);
}

function registrationOf({ meta, contentLength }: StoredTask): Registration {
  const { taskId, url, tag, application, filteredQueryParams, pieceLength, version, etag, lastModified, headers } = meta
  return {
    taskId,
    url,
    headers: {},
    tag,
    application,
    filteredQueryParams,
    found: { contentLength, pieceLength, version, etag, lastModified, headers },
    requestedPieceLength: undefined,
    range: undefined,
    disableBackSource: true,
    needBackSource: false,
  }
}
