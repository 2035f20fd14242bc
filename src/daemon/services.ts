import { type DownloadTaskResponse, type SyncPiecesRequest, type SyncPiecesResponse, Task } from '#api'
import { Failure, messageOf } from '#core'
import type { StoredTask } from '#storage'
import type { Activity } from './activity.ts'
import { type ServeDownloadDeps, serveDownload } from './serve-download.ts'
import { type SyncDeps, syncPieces } from './sync-pieces.ts'

type Wish = Parameters<typeof serveDownload>[0]

export interface ServicesDeps extends ServeDownloadDeps {
  readonly seed: boolean
  /** Tells the schedulers of a finished task. */
  offer(task: StoredTask): Promise<void>
  /** Takes this host out of the swarm, until it announces itself again. */
  leave(): Promise<void>
  readonly activity: Activity
  /** Ends with the daemon. */
  readonly lifetime: AbortSignal
}

/** What dfget may ask, over the unix socket. */
export function downloadHandlers(deps: ServicesDeps) {
  return {
    downloadTask: (request: { download?: Wish }, call: { signal: AbortSignal }): AsyncIterable<DownloadTaskResponse> =>
      deps.activity.during(serveDownload(request.download, deps, call.signal)),
    async deleteHost(): Promise<Record<string, never>> {
      await deps.leave()
      return {}
    },
    ...taskHandlers(deps),
  }
}

/** What other hosts and schedulers may ask, over TCP. No path of this host takes part. */
export function uploadHandlers(deps: ServicesDeps & { sync: SyncDeps }) {
  return {
    downloadTask: (request: { download?: Wish }): AsyncIterable<DownloadTaskResponse> =>
      seedDownload(request.download, deps),
    syncPieces: (request: SyncPiecesRequest, call: { signal: AbortSignal }): AsyncIterable<SyncPiecesResponse> =>
      deps.activity.during(syncPieces(request, deps.sync, call.signal)),
    ...taskHandlers(deps),
  }
}

/** A scheduler wakes this seed. Once begun the download goes on without the scheduler: children depend on it. */
async function* seedDownload(wish: Wish, deps: ServicesDeps): AsyncGenerator<DownloadTaskResponse> {
  if (!deps.seed) throw new Failure('source.denied', 'this host is no seed and reads no origin for others')
  const own = wish && {
    ...wish,
    outputPath: undefined,
    streamContent: false,
    originalOffset: false,
    rateLimit: undefined,
  }
  const messages = serveDownload(own, deps, deps.lifetime)
  let ended = false
  try {
    for (;;) {
      const next = await messages.next()
      ended = next.done ?? false
      if (next.done) return
      await offerFinished(next.value, deps)
      yield next.value
    }
  } finally {
    if (!ended) void goOn(messages, deps)
  }
}

/** What was here before is not announced by a download, since there is nothing to download. */
async function offerFinished({ taskId, response }: DownloadTaskResponse, deps: ServicesDeps): Promise<void> {
  if (response?.$case !== 'downloadTaskStartedResponse' || !response.value.isFinished) return
  const task = deps.store.get(taskId)
  if (task !== undefined) await deps.offer(task)
}

async function goOn(messages: AsyncGenerator<DownloadTaskResponse>, deps: ServicesDeps): Promise<void> {
  try {
    while (!(await messages.next()).done);
  } catch (error) {
    deps.log.warn({ why: messageOf(error) }, 'a download for others failed')
  }
}

function taskHandlers(deps: ServicesDeps) {
  return {
    statTask: ({ taskId }: { taskId: string }): Promise<Task> => Promise.resolve(taskMessage(find(taskId, deps))),
    async deleteTask({ taskId }: { taskId: string }): Promise<Record<string, never>> {
      find(taskId, deps)
      await deps.store.delete(taskId)
      await deps.forget(taskId)
      return {}
    },
  }
}

function find(taskId: string, deps: ServicesDeps): StoredTask {
  const task = deps.store.get(taskId)
  if (task === undefined) throw new Failure('task.unknown', `task ${taskId} is not here`)
  return task
}

function taskMessage(task: StoredTask): Task {
  const { taskId, url, tag, application, filteredQueryParams, pieceLength, version } = task.meta
  return Task.fromPartial({
    id: taskId,
    url,
    tag,
    application,
    filteredQueryParams: [...filteredQueryParams],
    contentLength: task.contentLength ?? 0,
    pieceCount: task.pieceCount ?? 0,
    state: task.complete ? 'Succeeded' : 'Running',
    hasAvailablePeer: task.complete,
    pieceLength,
    version,
  })
}
