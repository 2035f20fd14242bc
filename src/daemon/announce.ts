import type { Host, SchedulerClient } from '#api'
import { type HostIdentity, messageOf } from '#core'
import type { Logger } from '#runtime'
import type { StoredTask, TaskStore } from '#storage'
import { offerTask } from './offer.ts'

export interface AnnouncerDeps {
  readonly schedulers: readonly SchedulerClient[]
  readonly identity: HostIdentity
  readonly host: Host
  readonly store: Pick<TaskStore, 'list'>
  readonly intervalMs: number
  readonly log: Logger
}

/** Finished tasks told to a scheduler that has just met this host: the newest ones. */
const MAX_INVENTORY = 1000

/**
 * Keeps the schedulers knowing this host, and the finished tasks it has to give. A scheduler that is away is tried
 * again at the next interval; nothing waits for it.
 */
export class Announcer implements AsyncDisposable {
  readonly #deps: AnnouncerDeps
  readonly #timer: NodeJS.Timeout
  /** Those that know this host, and the connection over which they learnt of it. */
  readonly #known = new Map<SchedulerClient, number>()

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps
    this.#timer = setInterval(() => void this.announce(), deps.intervalMs)
    this.#timer.unref()
  }

  /** Announces to every scheduler; `again` also tells the inventory to those that knew this host already. */
  async announce(options: { again?: boolean } = {}): Promise<void> {
    if (options.again) this.#known.clear()
    await Promise.all(this.#deps.schedulers.map((scheduler) => this.#announceTo(scheduler)))
  }

  /** Offers one finished task to every scheduler. */
  async offer(task: StoredTask): Promise<void> {
    const { schedulers, log } = this.#deps
    const offers = schedulers.map((scheduler) => this.#offerTo(scheduler, task))
    for (const outcome of await Promise.allSettled(offers)) {
      if (outcome.status === 'rejected') {
        log.warn(
          { task: task.meta.taskId, why: messageOf(outcome.reason) },
          'a scheduler was not told of a finished task',
        )
      }
    }
  }

  async #announceTo(scheduler: SchedulerClient): Promise<void> {
    const { host, intervalMs, log } = this.#deps
    try {
      await scheduler.announceHost({ host, interval: { seconds: Math.ceil(intervalMs / 1000), nanos: 0 } })
      // Over another connection it may be another process, which knows nothing.
      if (this.#known.get(scheduler) === scheduler.connections) return
      this.#known.set(scheduler, scheduler.connections)
      void this.#tellInventory(scheduler)
    } catch (error) {
      this.#known.delete(scheduler)
      log.warn({ scheduler: scheduler.address, why: messageOf(error) }, 'the scheduler cannot be told of this host')
    }
  }

  async #tellInventory(scheduler: SchedulerClient): Promise<void> {
    const { store, log } = this.#deps
    const finished = store.list().filter((task) => task.complete && (task.contentLength ?? 0) > 0)
    for (const task of finished.slice(-MAX_INVENTORY)) {
      try {
        await this.#offerTo(scheduler, task)
      } catch (error) {
        log.warn({ task: task.meta.taskId, why: messageOf(error) }, 'the scheduler was not told of the finished tasks')
        return
      }
    }
  }

  /** What is deleted meanwhile is not offered for ever: that it is gone may have been told before this. */
  async #offerTo(scheduler: SchedulerClient, task: StoredTask): Promise<void> {
    const { store, identity } = this.#deps
    const { taskId } = task.meta
    // Not by `get`, which counts as a use of the task.
    const isHere = (): boolean => store.list().some(({ meta }) => meta.taskId === taskId)
    if (!isHere()) return
    await offerTask(task, scheduler, identity)
    if (!isHere()) await scheduler.deleteTask({ hostId: identity.id, taskId })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.leave()
  }

  /** Tells the schedulers that this host goes. */
  async leave(): Promise<void> {
    const hostId = this.#deps.identity.id
    await Promise.allSettled(
      [...this.#known.keys()].map((scheduler) => scheduler.deleteHost({ hostId }, { timeoutMs: 1000 })),
    )
  }
}
