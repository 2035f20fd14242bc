import { type ByteSink, Failure } from '#core'
import { type Answer, areStrong, type ReadRequest } from '#source'
import type { StoredTask } from '#storage'
import type { Glance, MoreConnections } from './more-connections.ts'
import { expireInfoOf, firstBytes, type FromSourceDeps, readStretch, type Stretch } from './read-origin.ts'

/** Connections to one origin at most, for one task. */
export const CONNECTIONS = 4
const LOOK_MS = 250
/** What is left of a stretch when it is time to think of the next one, at most. */
const MOST_AHEAD_BYTES = 32 * 2 ** 20

/** Decides how many connections there should be, and what each is asked for. */
export type Policy = Pick<MoreConnections, 'connections' | 'begin' | 'look' | 'refused' | 'stretchBytes' | 'aheadBytes'>

/** Reads a run of missing pieces: in one stream, and in a few where the origin holds back each connection. */
export async function readRun(
  task: StoredTask,
  run: Stretch,
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
  policy: Policy,
  pace: Pace = { lookMs: LOOK_MS, firstBytes: firstBytes(task.meta.pieceLength) },
): Promise<void> {
  const { first, end } = run
  const firstPieces = (pace.firstBytes ?? Number.POSITIVE_INFINITY) / task.meta.pieceLength
  if (end === undefined || end - first <= firstPieces || !areStrong(expireInfoOf(task))) {
    return readStretch(task, run, request, deps, signal)
  }
  await new SourceRun(task, { first, end }, request, deps, policy).read(firstPieces, signal, pace.lookMs)
}

export interface Pace {
  /** How often the policy looks. */
  readonly lookMs: number
  /** What the first request asks for: whole pieces; undefined: everything. */
  readonly firstBytes: number | undefined
}

/** Pieces that one request asks for. */
interface Run {
  readonly first: number
  readonly end: number
}

interface Stream extends Run {
  /** Bytes that are still to come; undefined until that is known. */
  leftBytes: number | undefined
  /** The next one may begin: this one is about to end. */
  ending: boolean
  /** It came beside others, that can do without it. */
  readonly impatient: boolean
}

/**
 * Every stream is asked for a stretch of known length, and is never stopped before its end: so each byte is sent once,
 * whatever is thought of the number of streams meanwhile. Stretches at the front are asked for first, since people read
 * along; the next one is asked for a moment before the last one ends.
 */
class SourceRun {
  readonly #task: StoredTask
  readonly #run: Run
  readonly #request: ReadRequest
  readonly #deps: FromSourceDeps
  readonly #policy: Policy
  readonly #stop = new AbortController()
  readonly #streams = new Set<Stream>()
  /** What nobody was asked for, in order. */
  #left: Run[] = []
  #bytes = 0
  #divisible = false
  #failure: { readonly error: unknown } | undefined
  #over: () => void = () => undefined
  #timer: NodeJS.Timeout | undefined

  constructor(task: StoredTask, run: Run, request: ReadRequest, deps: FromSourceDeps, policy: Policy) {
    this.#task = task
    this.#run = run
    this.#request = request
    this.#deps = deps
    this.#policy = policy
  }

  /** `firstPieces`: what the first request asks for. */
  async read(firstPieces: number, signal: AbortSignal, lookMs: number): Promise<void> {
    const stop = (): void => this.#stop.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      await new Promise<void>((resolve) => {
        this.#over = resolve
        this.#open(firstPieces, lookMs)
      })
    } finally {
      clearInterval(this.#timer)
      signal.removeEventListener('abort', stop)
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** The first stream. Of the whole it leaves it to the origin whether less than all of it comes. */
  #open(firstPieces: number, lookMs: number): void {
    const { first, end } = this.#run
    const next = first + firstPieces
    const whole = first === 0 && end === this.#task.pieceCount
    const rest = { first: next, end }
    if (!whole) this.#left = [rest]
    this.#start(whole ? this.#run : { first, end: next }, {
      ...(whole ? { atFirst: firstPieces * this.#task.meta.pieceLength } : {}),
      answered: (answer, limited) => {
        if (answer.part !== undefined) this.#left = [rest]
        if (this.#left.length === 0 || limited || !isDivisible(answer)) return
        for (const stream of this.#streams) stream.leftBytes = firstPieces * this.#task.meta.pieceLength
        this.#divisible = true
        this.#policy.begin(this.#glance())
        this.#timer = setInterval(() => this.#look(), lookMs)
      },
    })
  }

  #look(): void {
    this.#policy.look(this.#glance())
    this.#fill()
  }

  #glance(): Glance {
    const pieces = this.#left.reduce((sum, { first, end }) => sum + end - first, 0)
    return { nowMs: performance.now(), bytes: this.#bytes, leftBytes: pieces * this.#task.meta.pieceLength }
  }

  /** As many streams as there should be, and one more for those that end, as long as there is something to ask for. */
  #fill(): void {
    const wanted = this.#divisible ? this.#policy.connections : 1
    while (!this.#stop.signal.aborted && this.#going < wanted && this.#streams.size <= wanted) {
      const stretch = this.#take()
      if (stretch === undefined) return
      this.#start(stretch)
    }
  }

  get #going(): number {
    let going = 0
    for (const { ending } of this.#streams) if (!ending) going++
    return going
  }

  /** The next pieces that are missing. */
  #take(): Run | undefined {
    for (;;) {
      const [region, ...others] = this.#left
      if (region === undefined) return undefined
      const isHere = (number: number): boolean => this.#task.piece(number) !== undefined
      let { first } = region
      while (first < region.end && isHere(first)) first++
      const most = first + this.#stretchPieces(region.end - first)
      let end = first
      while (end < Math.min(most, region.end) && !isHere(end)) end++
      this.#left = end < region.end ? [{ first: end, end: region.end }, ...others] : others
      if (end > first) return { first, end }
    }
  }

  #stretchPieces(left: number): number {
    if (!this.#divisible) return left
    return Math.max(Math.round(this.#policy.stretchBytes(this.#glance()) / this.#task.meta.pieceLength), 1)
  }

  #start(stretch: Run, way: { atFirst?: number; answered?(answer: Answer, limited: boolean): void } = {}): void {
    const leftBytes = way.answered ? undefined : (stretch.end - stretch.first) * this.#task.meta.pieceLength
    const stream: Stream = { ...stretch, leftBytes, ending: false, impatient: this.#streams.size > 0 }
    this.#streams.add(stream)
    const around = (sink: ByteSink): ByteSink => this.#counted(sink, stream)
    const reading = readStretch(this.#task, stretch, this.#request, this.#deps, this.#stop.signal, {
      ...way,
      around,
      impatient: stream.impatient,
    })
    void reading
      .catch((error: unknown) => this.#failed(stream, error))
      .then(() => {
        this.#streams.delete(stream)
        this.#fill()
        if (this.#streams.size === 0) this.#over()
      })
  }

  /** What an additional stream cannot bring, others are asked for. */
  #failed({ first, end, impatient }: Stream, error: unknown): void {
    if (impatient && isRefusal(error) && !this.#stop.signal.aborted) {
      this.#policy.refused()
      this.#left = [{ first, end }, ...this.#left].toSorted((a, b) => a.first - b.first)
      for (const stream of this.#streams) stream.ending = false // nothing more beside them before they have ended
      return
    }
    this.#failure ??= { error }
    this.#stop.abort(error)
  }

  #counted(sink: ByteSink, stream: Stream): ByteSink {
    return {
      space: () => sink.space(),
      filled: (length) => {
        this.#came(stream, length)
        return sink.filled(length)
      },
      drained: () => sink.drained(),
      get full() {
        return sink.full
      },
    }
  }

  #came(stream: Stream, length: number): void {
    this.#bytes += length
    if (stream.leftBytes === undefined) return
    stream.leftBytes -= length
    if (stream.ending || !this.#divisible || stream.leftBytes > MOST_AHEAD_BYTES) return
    const ahead = this.#policy.aheadBytes(this.#glance())
    if (ahead === 0 || stream.leftBytes > ahead) return
    stream.ending = true
    queueMicrotask(() => this.#fill()) // not from within the stream's own read
  }
}

/** Parts of it can be read by themselves, and belong together for sure. */
function isDivisible({ supportsRange, totalLength, expireInfo }: Answer): boolean {
  return supportsRange === true && totalLength !== undefined && areStrong(expireInfo)
}

/** The origin does not give this stream what it gives to others; it may be the same content all the same. */
function isRefusal(error: unknown): boolean {
  return error instanceof Failure && error.code.startsWith('source.') && error.code !== 'source.changed'
}
