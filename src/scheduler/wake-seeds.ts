import type { Download } from '#api'
import { asFailure, Failure } from '#core'
import type { Logger } from '#runtime'
import type { Clock } from './clock.ts'
import { validate } from './swarm/editions.ts'
import type { Edition, Host, Peer, SeedRun, Task } from './swarm/model.ts'
import { isOver } from './swarm/states.ts'
import type { Swarm } from './swarm/swarm.ts'

/** Asks a seed to bring a task. */
export interface SeedClient {
  /** Resolves when the seed has brought it, rejects when it cannot or its connection breaks. */
  download(host: Host['facts'], download: Download, signal: AbortSignal): Promise<void>
}

export interface SeedRunsDeps {
  readonly swarm: Swarm
  readonly client: SeedClient
  readonly clock: Clock
  readonly log: Logger
  /** Milliseconds. */
  readonly limits: { readonly seedTimeout: number; readonly seedRetryAfter: number; readonly maxSeedRuns: number }
}

const MAX_WHY = 500

/** The calls to seeds that are under way. A child never waits for one of these, but for the news they make. */
export class SeedRuns implements AsyncDisposable {
  readonly #deps: SeedRunsDeps
  readonly #running = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(deps: SeedRunsDeps) {
    this.#deps = deps
  }

  get count(): number {
    return this.#running.size
  }

  get mayWake(): boolean {
    return this.#running.size < this.#deps.limits.maxSeedRuns && !this.#closing.signal.aborted
  }

  /** Asks `seed` to bring what `child` wants. */
  wake(seed: Host, child: Peer, download: Download): void {
    const { task, range, edition } = child
    const run: SeedRun = { host: seed, range, wanted: edition, peer: undefined }
    task.seedRuns.add(run)
    const running = this.#run(run, task, seedDownload(download)).finally(() => {
      task.seedRuns.delete(run)
      this.#running.delete(running)
      task.bell.ring()
    })
    this.#running.add(running)
  }

  /** A peer registered, or learned its edition: perhaps the one that a seed was asked for. True for that one. */
  registered(peer: Peer): boolean {
    for (const run of peer.task.seedRuns) {
      if (run.host !== peer.host || (run.peer !== undefined && run.peer !== peer)) continue
      run.peer = peer
      this.#compare(run.wanted, peer)
      peer.task.bell.ring()
      return true
    }
    return false
  }

  async #run(run: SeedRun, task: Task, download: Download): Promise<void> {
    const { client, log } = this.#deps
    const over = new AbortController()
    const signal = AbortSignal.any([this.#closing.signal, over.signal])
    log.info({ task: task.id, seed: run.host.id }, 'a seed is woken')
    this.#watch(run, over, signal)
    try {
      await client.download(run.host.facts, download, signal)
      this.#succeeded(run, task)
    } catch (error) {
      const told: unknown = over.signal.aborted ? over.signal.reason : error
      if (!this.#closing.signal.aborted) this.#failed(run, task, asFailure(told, 'peer.unreachable'))
    } finally {
      over.abort()
    }
  }

  /** A seed that says nothing is as good as none. */
  #watch(run: SeedRun, over: AbortController, signal: AbortSignal): void {
    const { clock, limits } = this.#deps
    clock.sleep(limits.seedTimeout, signal).then(
      () => {
        if (run.peer !== undefined) return
        over.abort(new Failure('download.timeout', `it did not register within ${limits.seedTimeout} ms`))
      },
      () => undefined,
    )
  }

  /** A seed that has the task, or shares a download that runs, may have had no reason to register anew. */
  #succeeded(run: SeedRun, task: Task): void {
    const peer = run.peer ?? [...run.host.peers].findLast((peer) => peer.task === task && peer.edition !== undefined)
    if (peer?.edition === undefined || peer.state === 'failed' || peer.state === 'left') {
      this.#failed(run, task, new Failure('download.no_source', 'it took no part in the task'))
      return
    }
    this.#compare(run.wanted, peer)
    validate(peer.edition, run.host, this.#deps.clock.now())
  }

  #failed(run: SeedRun, task: Task, failure: Failure): void {
    const { swarm, clock, log, limits } = this.#deps
    const untilMs = clock.now() + limits.seedRetryAfter
    log.warn({ task: task.id, seed: run.host.id, why: failure.message }, 'a seed failed')
    task.failedSeeds.set(run.host.id, { untilMs, why: failure.message.slice(0, MAX_WHY) })
    // It did not answer at all, so it will not for other tasks.
    if (failure.code === 'peer.unreachable') run.host.downUntilMs = untilMs
    if (run.peer !== undefined && !isOver(run.peer.state)) swarm.move(run.peer, 'fail', clock.now())
  }

  /** What a seed finds at the origin is not always what the child has found there. */
  #compare(wanted: Edition | undefined, peer: Peer): void {
    if (wanted === undefined || peer.edition === undefined || peer.edition === wanted) return
    wanted.seedsElsewhere.set(peer.host.id, this.#deps.clock.now() + this.#deps.limits.seedRetryAfter)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Failure('scheduler.unavailable', 'this scheduler shuts down'))
    await Promise.allSettled(this.#running)
  }
}

/**
 * The child's wish as a seed gets it: every field it came with, but for what concerns the child's own host alone. A
 * range stays: whoever wants 4 KiB of 100 GiB must not make a seed read them all; the seed's peer is known to have
 * only that range, and is no parent for more. A digest goes: a wrong one must not fail the seed for the others.
 */
export function seedDownload(download: Download): Download {
  return {
    ...download,
    needBackToSource: true,
    disableBackToSource: false,
    metadataOnly: false,
    outputPath: undefined,
    overwrite: false,
    forceHardLink: false,
    needPieceContent: false,
    digest: undefined,
    timeout: undefined,
    streamContent: false,
    originalOffset: false,
    rateLimit: undefined,
  }
}
