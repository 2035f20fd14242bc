import { messageOf } from '#core'
import type { Logger } from '#runtime'
import type { TaskStore } from '#storage'

export interface StorageLimits {
  readonly capacityBytes: number
  /** 0 keeps tasks for ever. */
  readonly idleMs: number
}

const EVERY_MS = 60_000

/** Keeps the storage within its limits, once a minute; `forgotten` hears of each task that went. */
export function evictRegularly(
  store: Pick<TaskStore, 'evict'>,
  limits: StorageLimits,
  forgotten: (taskId: string) => Promise<void>,
  log: Logger,
): Disposable {
  const evict = async (): Promise<void> => {
    const idleMs = limits.idleMs === 0 ? Number.POSITIVE_INFINITY : limits.idleMs
    const gone = await store.evict({ capacityBytes: limits.capacityBytes, idleMs, now: Date.now() })
    if (gone.length > 0) log.info({ tasks: gone }, 'tasks removed to keep the limits of the storage')
    await Promise.all(gone.map(forgotten))
  }
  const timer = setInterval(() => {
    evict().catch((error: unknown) => log.warn({ why: messageOf(error) }, 'the storage could not be cleaned up'))
  }, EVERY_MS)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
