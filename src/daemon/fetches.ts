import { Failure } from '#core'
import type { ReadRequest, Source } from '#source'
import type { StoredTask } from '#storage'
import { EarlyReads } from './early-reads.ts'
import { type Demand, type FetchDeps, fetchTask } from './fetch.ts'
import type { Wanted } from './from-source.ts'
import { Hashers } from './hashers.ts'
import { OriginDigests } from './origin-digest.ts'
import type { Registration } from './plan.ts'
import { TokenBucket } from './rate-limit.ts'
import { isHere } from './round.ts'
import { whenAborted } from './when-aborted.ts'

/** What one request adds to a shared fetch. */
export interface Share {
  readonly wanted: Wanted
  readonly inOrder: boolean
  readonly disableBackSource: boolean
  readonly rateLimitBytes: number | undefined
  readonly origin: { readonly source: Source | Failure; readonly request: ReadRequest }
  readonly registration: Registration
}

/** Requests for one task share one fetch: it brings what any of them wants, and ends when the last one leaves. */
export class Fetches {
  /** Where whole contents are digested. */
  readonly hashers = new Hashers()
  /** What the origins publish of the tasks here. */
  readonly originDigests = new OriginDigests(this.hashers)
  readonly earlyReads = new EarlyReads()
  readonly #deps: FetchDeps
  readonly #running = new Map<StoredTask, SharedFetch>()

  constructor(deps: Omit<FetchDeps, 'originDigests'>) {
    this.#deps = { ...deps, originDigests: this.originDigests }
  }

  /** Whether pieces of this task are on their way here. */
  isRunning(task: StoredTask): boolean {
    return this.#running.has(task)
  }

  get count(): number {
    return this.#running.size
  }

  /** Resolves once everything that `share` wants is held. */
  async join(task: StoredTask, share: Share, signal: AbortSignal): Promise<void> {
    while (!isHere(task, share.wanted)) {
      signal.throwIfAborted()
      await this.#shared(task, share).join(share, signal)
    }
  }

  #shared(task: StoredTask, share: Share): SharedFetch {
    const running = this.#running.get(task)
    if (running !== undefined) return running
    const shared = new SharedFetch(task, share, this.#deps, () => {
      this.#running.delete(task)
      this.originDigests.rest(task)
    })
    this.#running.set(task, shared)
    return shared
  }
}

class SharedFetch {
  readonly #shares = new Set<Share>()
  readonly #stop = new AbortController()
  readonly #outcome: Promise<void>
  readonly #bucket: TokenBucket

  constructor(task: StoredTask, first: Share, deps: FetchDeps, ended: () => void) {
    this.#bucket = new TokenBucket(first.rateLimitBytes ?? 0)
    this.#shares.add(first)
    const hold = task.hold()
    this.#outcome = fetchTask(task, this.#demand(), first.origin, first.registration, deps, this.#stop.signal).finally(
      () => {
        hold[Symbol.dispose]()
        ended()
      },
    )
    this.#outcome.catch(() => undefined) // everybody who waits is told in join
  }

  async join(share: Share, signal: AbortSignal): Promise<void> {
    if (this.#stop.signal.aborted) return this.#outcome.catch(() => undefined) // it is ending: begin another one
    this.#shares.add(share)
    this.#setRate()
    const left = whenAborted(signal)
    try {
      await Promise.race([this.#outcome, left.promise])
    } finally {
      left.forget()
      this.#shares.delete(share)
      this.#setRate()
      if (this.#shares.size === 0)
        this.#stop.abort(new Failure('download.cancelled', 'nobody waits for this download any more'))
    }
  }

  /** The most generous of those who wait decides. */
  #setRate(): void {
    const rates = [...this.#shares].map((share) => share.rateLimitBytes ?? 0)
    if (rates.length > 0) this.#bucket.setRate(rates.includes(0) ? 0 : Math.max(...rates))
  }

  #demand(): Demand {
    return {
      bucket: this.#bucket,
      inOrder: () => [...this.#shares].some((share) => share.inOrder),
      mayReadSource: () => [...this.#shares].some((share) => !share.disableBackSource),
      wanted: () => union([...this.#shares].map((share) => share.wanted)),
    }
  }
}

function union(all: readonly Wanted[]): Wanted {
  const first = Math.min(...all.map((wanted) => wanted.first))
  const last = Math.max(...all.map((wanted) => wanted.last ?? Number.POSITIVE_INFINITY))
  return { first: Number.isFinite(first) ? first : 0, last: Number.isFinite(last) ? last : undefined }
}
