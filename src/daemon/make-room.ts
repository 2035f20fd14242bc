import { Failure } from '#core'
import type { Logger } from '#runtime'
import type { StoredTask, TaskStore } from '#storage'

export interface MakeRoomDeps {
  readonly store: Pick<TaskStore, 'evict' | 'delete' | 'heldBytes'>
  readonly isRunning: (task: StoredTask) => boolean
  /** Tells the schedulers that this host has a task no more. */
  readonly forget: (taskId: string) => Promise<void>
  readonly log: Logger
}

/** Room that is made at least, so that a task of unknown length does not ask for it block by block. */
const MIN_ROOM_BYTES = 64 * 2 ** 20

/**
 * Runs what fills a task. Where the disk is full, tasks that are only kept for later give way, the longest unused first,
 * and it is tried again. Half a task that does not fit at all goes too: it would keep everything else out.
 */
export async function withRoom(task: StoredTask, work: () => Promise<void>, deps: MakeRoomDeps): Promise<void> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== 'storage.full') throw error
      if (await makeRoom(task, deps)) continue
      if (!task.complete && !deps.isRunning(task)) await deps.store.delete(task.meta.taskId)
      throw error
    }
  }
}

/** True when something went. */
async function makeRoom(task: StoredTask, { store, forget, log }: MakeRoomDeps): Promise<boolean> {
  const missing = Math.max((task.contentLength ?? 0) - task.heldBytes, MIN_ROOM_BYTES)
  const capacityBytes = Math.max(0, store.heldBytes - missing)
  const gone = await store.evict({ capacityBytes, idleMs: 0, now: Date.now() })
  if (gone.length === 0) return false
  log.warn({ tasks: gone }, 'the disk is full: tasks that nobody used for longest were removed')
  await Promise.all(gone.map(forget))
  return true
}
