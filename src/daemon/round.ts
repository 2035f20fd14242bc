import { setTimeout as sleep } from 'node:timers/promises'
import { asFailure, type ByteSink, type Failure, messageOf, type PieceRecord, pieceSpan } from '#core'
import type { Logger } from '#runtime'
import type { StoredTask } from '#storage'
import { type Announced, fetchFromParent, type ParentLink } from './from-parent.ts'
import { lastWanted, type Wanted } from './from-source.ts'
import { type Holder, pickPiece } from './pick-piece.ts'
import type { Parent } from './plan.ts'
import type { RecordChecker } from './trust.ts'

export interface RoundDeps {
  readonly link: ParentLink
  readonly records: RecordChecker
  /** Take no piece that no record vouches for, once there is somebody whose records count. */
  readonly requireRecords: boolean
  readonly concurrentPieces: number
  /** How long a round may stand still, with parents connected and nothing to fetch, before another plan is asked for. */
  readonly patienceMs: number
  readonly log: Logger
  limit(sink: ByteSink): ByteSink
  inOrder(): boolean
  wanted(): Wanted
  failed(number: number, parent: Parent, failure: Failure): void
  /** Parents that could be asked as well by now; undefined: this round is to end, there is another plan. */
  readonly refresh?: ((signal: AbortSignal) => Promise<readonly Parent[] | undefined>) | undefined
}

interface Member extends Holder {
  readonly parent: Parent
  readonly has: Map<number, Announced>
  inFlight: number
  rate: number
  slots: number
  /** No more is asked of it in this round. */
  left: boolean
  /** It has told all it has. */
  told: boolean
  /** It knows no records: a peer of another make. */
  stock: boolean
}

/** A parent is asked for as many pieces at once as keep it busy for so long, so that a slow one is not asked for all. */
const BUSY_MS = 200
const MAX_SLOTS = 4
/** The swarm grows fastest at its beginning. */
const FIRST_REFRESH_MS = 300
const LAST_REFRESH_MS = 10_000
const MAX_MEMBERS = 12

/**
 * Fetches what is wanted from these parents, several pieces at once, until nothing is missing, nobody is left, or
 * nothing moves any more. Never throws for what a parent did: what is still missing is the caller's next plan.
 */
export async function fetchFromParents(
  task: StoredTask,
  parents: readonly Parent[],
  deps: RoundDeps,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController()
  const round = new Round(task, parents, deps, AbortSignal.any([signal, stop.signal]))
  try {
    await round.over
  } finally {
    stop.abort()
    await round.settled()
  }
  signal.throwIfAborted()
}

class Round {
  readonly over: Promise<void>
  #resolve: () => void = () => undefined
  #reject: (reason: Failure) => void = () => undefined
  readonly #task: StoredTask
  readonly #deps: RoundDeps
  readonly #signal: AbortSignal
  readonly #members: Member[] = []
  readonly #records = new Map<number, PieceRecord>()
  readonly #fetching = new Set<number>()
  readonly #running = new Set<Promise<void>>()
  readonly #forget: () => void
  #patience: NodeJS.Timeout | undefined

  constructor(task: StoredTask, parents: readonly Parent[], deps: RoundDeps, signal: AbortSignal) {
    this.#task = task
    this.#deps = deps
    this.#signal = signal
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    signal.addEventListener('abort', () => this.#resolve(), { once: true })
    this.#forget = task.onPiece(() => this.#move())
    this.#add(parents)
    if (deps.refresh !== undefined) this.#run(this.#grow(deps.refresh))
    this.#move()
  }

  #add(parents: readonly Parent[]): void {
    for (const parent of parents) {
      const room = this.#members.filter(({ left }) => !left).length < MAX_MEMBERS
      if (!room || this.#members.some(({ id }) => id === parent.id)) continue
      const member: Member = {
        id: parent.id,
        parent,
        has: new Map(),
        inFlight: 0,
        rate: 0,
        slots: 1,
        left: false,
        told: false,
        stock: false,
      }
      this.#members.push(member)
      this.#run(this.#listen(member))
    }
  }

  /** Takes in parents that were not there when the round began; ever less often. */
  async #grow(refresh: NonNullable<RoundDeps['refresh']>): Promise<void> {
    try {
      for (let waitMs = FIRST_REFRESH_MS; ; waitMs = Math.min(waitMs * 1.5, LAST_REFRESH_MS)) {
        await sleep(waitMs, undefined, { signal: this.#signal, ref: false })
        const parents = await refresh(this.#signal)
        if (parents === undefined) return this.#resolve()
        this.#add(parents)
        this.#move()
      }
    } catch (error) {
      if (!this.#signal.aborted) this.#deps.log.debug({ why: messageOf(error) }, 'no more parents are looked for')
    }
  }

  /** Resolves once everything that was begun has ended. */
  async settled(): Promise<void> {
    this.#forget()
    clearTimeout(this.#patience)
    await Promise.all(this.#running)
  }

  #run(work: Promise<void>): void {
    this.#running.add(work)
    void work.finally(() => this.#running.delete(work))
  }

  /** Learns what a parent has, as long as it tells. */
  async #listen(member: Member): Promise<void> {
    const { taskId, version } = this.#task.meta
    try {
      const ask = { taskId, version, numbers: this.#unheld() }
      for await (const announced of this.#deps.link.sync(member.parent, ask, this.#signal)) {
        this.#note(member, announced)
        this.#move()
      }
      member.told = true
    } catch (error) {
      if (!this.#signal.aborted) this.#drop(member, asFailure(error, 'peer.unreachable'))
    }
    this.#move()
  }

  #note(member: Member, announced: Announced): void {
    const { number } = announced
    if (!Number.isSafeInteger(number) || !this.#fits(announced)) return
    const record = announced.record
    if (record === undefined) member.stock = true
    if (record !== undefined && this.#matches(record, announced) && this.#deps.records.believes(record)) {
      this.#records.set(number, record)
      if (record.contentLength !== undefined && this.#task.contentLength === undefined) {
        void this.#task.setContentLength(record.contentLength).then(
          () => this.#move(),
          () => undefined,
        )
      }
    }
    member.has.set(number, announced)
  }

  /** A parent may only speak of pieces that the task can have. */
  #fits({ number, offset, length }: Announced): boolean {
    const span = pieceSpan(number, this.#task.meta.pieceLength, this.#task.contentLength)
    if (number < 0 || offset !== span.offset || length <= 0) return false
    return this.#task.contentLength === undefined ? length <= span.length : length === span.length
  }

  #matches(record: PieceRecord, announced: Announced): boolean {
    const { taskId, version, pieceLength } = this.#task.meta
    return (
      record.taskId === taskId &&
      record.version === version &&
      record.pieceLength === pieceLength &&
      record.number === announced.number &&
      record.offset === announced.offset &&
      record.length === announced.length
    )
  }

  /** Starts what can be started, and ends the round when it has nothing more to give. */
  #move(): void {
    if (this.#signal.aborted) return
    clearTimeout(this.#patience)
    if (this.#done()) return this.#resolve()
    while (this.#fetching.size < this.#deps.concurrentPieces) {
      const choice = pickPiece({
        open: this.#missing(),
        holders: (number) => this.#holders(number),
        inOrder: this.#deps.inOrder(),
        random: Math.random,
      })
      if (choice === undefined) break
      this.#run(this.#fetch(choice.number, choice.parent))
    }
    if (this.#fetching.size > 0) return
    if (this.#members.every((member) => member.left || (member.told && !this.#hasMissing(member))))
      return this.#resolve()
    this.#patience = setTimeout(() => this.#resolve(), this.#deps.patienceMs)
  }

  async #fetch(number: number, member: Member): Promise<void> {
    const announced = member.has.get(number)
    if (announced === undefined) return
    this.#fetching.add(number)
    member.inFlight++
    const started = performance.now()
    try {
      const record = this.#records.get(number)
      await fetchFromParent(this.#task, member.parent, announced, record, this.#deps, this.#signal)
      measure(member, announced.length, performance.now() - started)
    } catch (error) {
      if (!this.#signal.aborted) this.#lose(member, number, error)
    } finally {
      member.inFlight--
      this.#fetching.delete(number)
    }
    this.#move()
  }

  /** A piece that a parent did not give: told to the planner, and asked of another one. */
  #lose(member: Member, number: number, error: unknown): void {
    const failure = asFailure(error, 'peer.unreachable')
    if (failure.code.startsWith('storage.')) return this.#reject(failure)
    this.#deps.failed(number, member.parent, failure)
    member.has.delete(number)
    if (failure.code !== 'piece.missing') this.#drop(member, failure)
  }

  #drop(member: Member, failure: Failure): void {
    if (!member.left) {
      const { hostname, ip } = member.parent
      this.#deps.log.warn(
        { task: this.#task.meta.taskId, parent: hostname, ip, code: failure.code, why: failure.message },
        'parent left out',
      )
    }
    member.left = true
    member.has.clear()
  }

  #holders(number: number): Member[] {
    if (this.#deps.records.hasSigners && !this.#records.has(number) && !this.#mayDoWithoutRecord()) return []
    return this.#members.filter((member) => !member.left && member.has.has(number))
  }

  /** A CRC-32 of the sender's own will do only where nobody is left who could still bring a record. */
  #mayDoWithoutRecord(): boolean {
    return !this.#deps.requireRecords && this.#members.every(({ left, told, stock }) => left || told || stock)
  }

  /** Wanted pieces that are neither held nor on their way; without a length, those that parents speak of. */
  #missing(): number[] {
    const wanted = this.#deps.wanted()
    const last =
      lastWanted(this.#task, wanted) ?? Math.max(-1, ...this.#members.flatMap((member) => [...member.has.keys()]))
    const missing: number[] = []
    for (let number = wanted.first; number <= last; number++) {
      if (this.#task.piece(number) === undefined && !this.#fetching.has(number)) missing.push(number)
    }
    return missing
  }

  #hasMissing(member: Member): boolean {
    return this.#missing().some((number) => member.has.has(number))
  }

  /** What parents are asked about: all that is not here, since others may join and want more; undefined: everything. */
  #unheld(): number[] | undefined {
    const { pieceCount } = this.#task
    if (pieceCount === undefined) return undefined
    return Array.from({ length: pieceCount }, (_, number) => number).filter(
      (number) => this.#task.piece(number) === undefined,
    )
  }

  #done(): boolean {
    return isHere(this.#task, this.#deps.wanted())
  }
}

function measure(member: Member, bytes: number, ms: number): void {
  const rate = bytes / Math.max(ms, 0.1)
  member.rate = member.rate === 0 ? rate : member.rate * 0.7 + rate * 0.3
  member.slots = Math.min(Math.max(Math.ceil(BUSY_MS / Math.max(ms, 0.1)), 1), MAX_SLOTS)
}

/** Whether every wanted piece is held. */
export function isHere(task: StoredTask, wanted: Wanted): boolean {
  const last = lastWanted(task, wanted)
  if (last === undefined) return false
  for (let number = wanted.first; number <= last; number++) {
    if (task.piece(number) === undefined) return false
  }
  return true
}
