import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type DigestAlgorithm, Failure, messageOf } from '#core'
import type { Answered, Told } from './digest-thread-main.ts'
import type { Hasher, ReadInto } from './hashers.ts'

/** Sources that a test runner runs as they are use the built program. */
const PROGRAM = fileURLToPath(
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/digest-thread.mjs', import.meta.url)
    : new URL('./digest-thread.mjs', import.meta.url),
)
/** Bytes handed over at once: 1 MiB costs this thread 0.13 s per GiB, 256 KiB three times that, 4 MiB half. */
const SLOT_BYTES = 2 ** 20
/** One is read into while others wait for the thread; shared by all digests under way. */
const SLOTS = 4
const IDLE_MS = 5000
/** It digests, and keeps nothing. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 }

/**
 * Digests contents in a thread of their own, since SHA-256 takes a core for each GB/s. The thread is started by the
 * first digest and ends when there was none for a while. When it dies, the digests in it fail with `internal`, and the
 * next one starts another thread.
 */
export class DigestThread {
  readonly #program: string
  readonly #idleMs: number
  #thread: Thread | undefined
  #idle: NodeJS.Timeout | undefined

  constructor({ program = PROGRAM, idleMs = IDLE_MS }: { program?: string; idleMs?: number } = {}) {
    this.#program = program
    this.#idleMs = idleMs
  }

  /** Whether there is a thread right now. */
  get running(): boolean {
    return this.#thread !== undefined
  }

  start(algorithm: DigestAlgorithm): Hasher {
    clearTimeout(this.#idle)
    if (this.#thread?.failure !== undefined) this.#thread = undefined
    this.#thread ??= new Thread(this.#program)
    const thread = this.#thread
    return thread.start(algorithm, () => {
      if (thread === this.#thread && thread.idle) this.#rest(thread)
    })
  }

  #rest(thread: Thread): void {
    clearTimeout(this.#idle)
    const end = (): void => {
      this.#thread = undefined
      thread.end()
    }
    this.#idle = setTimeout(end, this.#idleMs).unref()
  }
}

/** A digest in the thread, as this side knows it. */
interface Job {
  readonly number: number
  readonly left: () => void
  hex?: { resolve(hex: string): void; reject(failure: Failure): void }
}

/** One thread and the memory shared with it. */
class Thread {
  failure: Failure | undefined
  readonly #worker: Worker
  readonly #memory = new SharedArrayBuffer(SLOTS * SLOT_BYTES)
  /** Where slots begin that nobody uses. */
  readonly #free = Array.from({ length: SLOTS }, (_, slot) => slot * SLOT_BYTES)
  /** Who waits for a slot, first come first served: at most one entry for each job. */
  readonly #waiting: (() => void)[] = []
  readonly #jobs = new Map<number, Job>()
  #started = 0

  constructor(program: string) {
    this.#worker = new Worker(program, { workerData: this.#memory, resourceLimits: LIMITS, env: {}, execArgv: [] })
    this.#worker.on('message', (answered: Answered) => this.#take(answered))
    this.#worker.on('error', (error) => this.#fail(messageOf(error)))
    this.#worker.on('exit', (code) => this.#fail(`exit code ${code}`))
  }

  get idle(): boolean {
    return this.#jobs.size === 0
  }

  start(algorithm: DigestAlgorithm, left: () => void): Hasher {
    const job: Job = { number: this.#started++, left }
    this.#jobs.set(job.number, job)
    this.#worker.ref()
    this.#tell({ kind: 'start', job: job.number, algorithm })
    return {
      take: (bytes, read) => this.#fill(job, bytes, read),
      hex: () => this.#finish(job),
      [Symbol.dispose]: () => {
        if (this.#jobs.has(job.number)) this.#tell({ kind: 'forget', job: job.number })
        this.#leave(job)
      },
    }
  }

  /** Ends the thread; no job may be left. */
  end(): void {
    void this.#worker.terminate()
  }

  async #fill(job: Job, bytes: number, read: ReadInto): Promise<number> {
    const at = await this.#slot()
    let length = 0
    try {
      length = await read(new Uint8Array(this.#memory, at, Math.min(bytes, SLOT_BYTES)))
    } finally {
      if (length === 0) this.#give(at)
    }
    if (length > 0) this.#tell({ kind: 'bytes', job: job.number, at, length })
    return length
  }

  #finish(job: Job): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) return reject(this.failure)
      job.hex = { resolve, reject }
      this.#tell({ kind: 'hex', job: job.number })
    })
  }

  async #slot(): Promise<number> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure
      const at = this.#free.pop()
      if (at !== undefined) return at
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #give(at: number): void {
    this.#free.push(at)
    this.#waiting.shift()?.()
  }

  #take(answered: Answered): void {
    if (answered.kind === 'done') return this.#give(answered.at)
    const job = this.#jobs.get(answered.job)
    if (job === undefined) return
    this.#leave(job)
    job.hex?.resolve(answered.hex)
  }

  #leave(job: Job): void {
    if (!this.#jobs.delete(job.number)) return
    if (this.#jobs.size === 0) this.#worker.unref()
    job.left()
  }

  #tell(told: Told): void {
    this.#worker.postMessage(told, [])
  }

  /** The thread is gone: everybody who waits for it is told. */
  #fail(why: string): void {
    this.failure ??= new Failure('internal', `the thread that digests contents ended: ${why}`)
    for (const job of this.#jobs.values()) {
      this.#leave(job)
      job.hex?.reject(this.failure)
    }
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
