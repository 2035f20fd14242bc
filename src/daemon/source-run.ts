import type { ByteSink } from '#core'
import { type Answer, areStrong, type ReadRequest } from '#source'
import type { StoredTask } from '#storage'
import { MoreConnections } from './more-connections.ts'
import { type FromSourceDeps, readStretch, type Stretch } from './read-origin.ts'

// Off: each change of the number cuts a stream, and what was on its way is read again. On a busy machine that came to 2 %
// of 256 MiB, and the origin is to be read once.
const CONNECTIONS = 1
const LOOK_MS = 250
const MiB = 2 ** 20
const LEAST_STRETCH_BYTES = 16 * MiB
const MOST_STRETCH_BYTES = 256 * MiB

/** Decides when there should be more connections, or fewer. */
export type Policy = Pick<MoreConnections, 'look'>

/** Reads a run of missing pieces: in one stream, and in a few where the origin holds back each connection. */
export async function readRun(
  task: StoredTask,
  run: Stretch,
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
  policy: Policy = new MoreConnections(deps.connections ?? CONNECTIONS),
  lookMs: number = LOOK_MS,
): Promise<void> {
  const { end } = run
  if (end === undefined || deps.connections === 1) return readStretch(task, run, request, deps, signal)
  await new SourceRun(task, { first: run.first, end }, request, deps, policy).read(signal, lookMs)
}

/**
 * The first stream reads from the front, as if it were alone. Others take stretches from the back, until they meet. So
 * each byte is asked for once, but for what is under way to the first stream when it is stopped where the others began.
 */
class SourceRun {
  readonly #task: StoredTask
  readonly #first: number
  readonly #request: ReadRequest
  readonly #deps: FromSourceDeps
  readonly #policy: Policy
  readonly #stop = new AbortController()
  /** Behind the last piece that the first stream reads. */
  #end: number
  /** Bytes that came to the first stream, and to all. */
  #given = 0
  #bytes = 0
  readonly #others: { leaves: boolean }[] = []
  readonly #working: Promise<void>[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(
    task: StoredTask,
    { first, end }: { first: number; end: number },
    request: ReadRequest,
    deps: FromSourceDeps,
    policy: Policy,
  ) {
    this.#task = task
    this.#first = first
    this.#end = end
    this.#request = request
    this.#deps = deps
    this.#policy = policy
  }

  async read(signal: AbortSignal, lookMs: number): Promise<void> {
    const stop = (): void => this.#stop.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      await readStretch(
        this.#task,
        { first: this.#first, end: this.#end },
        this.#request,
        this.#deps,
        this.#stop.signal,
        {
          around: (sink) => this.#upToTheOthers(sink),
          answered: (answer, limited) => {
            if (!limited && isDivisible(answer)) this.#timer = setInterval(() => this.#look(), lookMs)
          },
        },
      )
    } catch (error) {
      this.#stop.abort(error)
      throw error
    } finally {
      clearInterval(this.#timer)
      await Promise.all(this.#working)
      signal.removeEventListener('abort', stop)
    }
  }

  /** Pieces of the first stream that it has not come to. */
  get #leftPieces(): number {
    const { pieceLength } = this.#task.meta
    return this.#end - this.#first - Math.floor(this.#given / pieceLength) - 1
  }

  #look(): void {
    const leftBytes = Math.max(this.#leftPieces, 0) * this.#task.meta.pieceLength
    const word = this.#policy.look({ nowMs: performance.now(), bytes: this.#bytes, leftBytes })
    if (word === 'drop') this.#dropLast()
    if (word !== 'add') return
    const other = { leaves: false }
    this.#others.push(other)
    this.#working.push(this.#work(other))
  }

  #dropLast(): void {
    const last = this.#others.findLast(({ leaves }) => !leaves)
    if (last !== undefined) last.leaves = true
  }

  /** Another stream: one stretch after the other. What it does not bring is missing still, and read later. */
  async #work(other: { leaves: boolean }): Promise<void> {
    const way = { around: (sink: ByteSink) => this.#counted(sink), impatient: true }
    try {
      while (!other.leaves) {
        const stretch = this.#takeStretch()
        if (stretch === undefined) return
        await readStretch(this.#task, stretch, this.#request, this.#deps, this.#stop.signal, way)
      }
    } catch {
      clearInterval(this.#timer) // an origin that wants no more of us gets no more
      for (const one of this.#others) one.leaves = true
    }
  }

  /** Less and less, so that all are done at about the same time. */
  #takeStretch(): Stretch | undefined {
    const { pieceLength } = this.#task.meta
    const least = Math.ceil(LEAST_STRETCH_BYTES / pieceLength)
    const most = Math.ceil(MOST_STRETCH_BYTES / pieceLength)
    const left = this.#leftPieces
    if (left < least) return undefined
    const share = Math.floor(left / (2 * (this.#others.length + 1)))
    const end = this.#end
    this.#end -= Math.min(Math.max(share, least), most)
    return { first: this.#end, end }
  }

  #counted(sink: ByteSink): ByteSink {
    return {
      space: () => sink.space(),
      filled: (length) => {
        this.#bytes += length
        return sink.filled(length)
      },
      drained: () => sink.drained(),
      get full() {
        return sink.full
      },
    }
  }

  /** Full where the pieces of the others begin: always between two pieces. */
  #upToTheOthers(sink: ByteSink): ByteSink {
    const counted = this.#counted(sink)
    const isFull = (): boolean => this.#given >= (this.#end - this.#first) * this.#task.meta.pieceLength
    return {
      space: () => counted.space(),
      filled: (length) => {
        this.#given += length
        return counted.filled(length)
      },
      drained: () => counted.drained(),
      get full() {
        return sink.full || isFull()
      },
    }
  }
}

/** Parts of it can be read by themselves, and belong together for sure. */
function isDivisible({ supportsRange, totalLength, expireInfo }: Answer): boolean {
  return supportsRange === true && totalLength !== undefined && areStrong(expireInfo)
}
