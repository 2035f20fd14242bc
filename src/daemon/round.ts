import { setTimeout as sleep } from 'node:timers/promises'
import { asFailure, type ByteSink, type Failure, messageOf } from '#core'
import type { Logger } from '#runtime'
import type { StoredTask } from '#storage'
import { type Announced, Doubted, type ParentLink } from './from-parent.ts'
import { lastWanted, type Wanted } from './from-source.ts'
import { type News, PieceNews } from './piece-news.ts'
import type { Parent } from './plan.ts'
import type { RoundMember } from './round-member.ts'
import { RoundMembers } from './round-members.ts'
import { strategyFor } from './round-strategy.ts'
import { toldBy } from './round-told.ts'
import type { Ask, Strategy } from './strategy/index.ts'
import type { RecordChecker } from './trust.ts'

export interface RoundDeps {
  readonly link: ParentLink
  readonly records: RecordChecker
  /** Take no piece that no record vouches for, once there is somebody whose records count. */
  readonly requireRecords: boolean
  /** Parents that are asked at the same time. */
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

/** The swarm grows fastest at its beginning. */
const FIRST_REFRESH_MS = 100
const LAST_REFRESH_MS = 10_000
/** With the same parents, when what they brought was doubted. */
const MAX_ROUNDS = 3
/** When all was asked for, how often it is checked who is late. */
const LOOK_AGAIN_MS = 100

/**
 * Fetches what is wanted from these parents, block by block where they can, until nothing is missing, nobody is left,
 * or nothing moves any more. Never throws for what a parent did: what is still missing is the caller's next plan.
 */
export async function fetchFromParents(
  task: StoredTask,
  parents: readonly Parent[],
  deps: RoundDeps,
  signal: AbortSignal,
): Promise<void> {
  let left = MAX_ROUNDS
  for (let asked = parents; left > 0; left--) {
    const round = await runRound(task, asked, deps, signal)
    signal.throwIfAborted()
    if (!round.doubted) return
    asked = round.stayed
  }
}

async function runRound(
  task: StoredTask,
  parents: readonly Parent[],
  deps: RoundDeps,
  signal: AbortSignal,
): Promise<Round> {
  const stop = new AbortController()
  const round = new Round(task, parents, deps, AbortSignal.any([signal, stop.signal]))
  try {
    await round.over
  } finally {
    stop.abort()
    await round.settled()
  }
  return round
}

class Round {
  readonly over: Promise<void>
  #resolve: () => void = () => undefined
  #reject: (reason: Failure) => void = () => undefined
  readonly #task: StoredTask
  readonly #deps: RoundDeps
  readonly #signal: AbortSignal
  readonly #members: RoundMembers
  readonly #news: PieceNews<RoundMember>
  readonly #strategy: Strategy
  readonly #running = new Set<Promise<void>>()
  readonly #forget: readonly (() => void)[]
  #patience: NodeJS.Timeout | undefined
  #moving = false
  /** Something that was brought is not here any more, and was nobody's fault: the same parents may bring it again. */
  doubted = false
  /** Who was in it to its end. */
  stayed: readonly Parent[] = []
  /** Who is asked first in the next move: nobody always comes last. */
  #turn = 0
  readonly #counts = { news: 0, moves: 0, asks: 0 }

  constructor(task: StoredTask, parents: readonly Parent[], deps: RoundDeps, signal: AbortSignal) {
    this.#task = task
    this.#deps = deps
    this.#signal = signal
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    signal.addEventListener('abort', () => this.#resolve(), { once: true })
    this.#news = new PieceNews(task, deps.records)
    this.#strategy = strategyFor(task, deps)
    this.#members = new RoundMembers(this.#strategy)
    this.#forget = [task.onPiece(({ number }) => this.#got(number)), task.onBlocks((number) => this.#got(number))]
    this.#add(parents, { instead: false })
    if (deps.refresh !== undefined) this.#run(this.#grow(deps.refresh))
    this.#moveSoon()
  }

  /** `instead`: of others, where there is no room. */
  #add(parents: readonly Parent[], how: { readonly instead: boolean }): void {
    for (const parent of parents) {
      const member = this.#members.add(parent, how)
      if (member !== undefined) this.#run(this.#listen(member))
    }
  }

  /** Takes in parents that were not there when the round began; ever less often. */
  async #grow(refresh: NonNullable<RoundDeps['refresh']>): Promise<void> {
    const pause = { signal: this.#signal, ref: false }
    for (let waitMs = FIRST_REFRESH_MS; !this.#signal.aborted; waitMs = Math.min(waitMs * 1.5, LAST_REFRESH_MS)) {
      await sleep(waitMs, undefined, pause).catch(() => undefined)
      if (!this.#signal.aborted) await this.#growOnce(refresh)
    }
  }

  /** A plan that cannot be had now may be had the next time. */
  async #growOnce(refresh: NonNullable<RoundDeps['refresh']>): Promise<void> {
    try {
      const parents = await refresh(this.#signal)
      if (parents === undefined) return this.#resolve()
      this.#add(parents, { instead: true })
      this.#offer(this.#news.reconsider())
    } catch (error) {
      if (!this.#signal.aborted) this.#deps.log.debug({ why: messageOf(error) }, 'no more parents are found for now')
    }
  }

  /** Resolves once everything that was begun has ended. */
  async settled(): Promise<void> {
    for (const stop of this.#forget) stop()
    clearTimeout(this.#patience)
    const { here } = this.#members
    this.stayed = here.map(({ parent }) => parent)
    for (const member of here) member.leave()
    await Promise.all(this.#running)
    this.#deps.log.debug({ task: this.#task.meta.taskId, ...this.#counts }, 'a round is over')
  }

  #run(work: Promise<void>): void {
    this.#running.add(work)
    void work.finally(() => this.#running.delete(work))
  }

  /** Learns what a parent has, as long as it tells. */
  async #listen(member: RoundMember): Promise<void> {
    const deps = { ...this.#deps, known: () => this.#news.known }
    const signal = AbortSignal.any([this.#signal, member.gone])
    try {
      for await (const announced of toldBy(member.parent, this.#task, deps, signal)) {
        if (member.left) break
        this.#hear(member, announced)
      }
      member.toldAll = true
    } catch (error) {
      if (!signal.aborted) this.#drop(member, asFailure(error, 'peer.unreachable'))
    }
    this.#moveSoon()
  }

  #hear(member: RoundMember, announced: Announced): void {
    this.#counts.news++
    this.#offer(member.tells(announced).flatMap((each) => this.#news.hear(member, each)))
    const contentLength = this.#news.record(announced.number)?.contentLength
    if (contentLength === undefined || this.#task.contentLength !== undefined) return
    this.#task.setContentLength(contentLength).then(
      () => this.#moveSoon(),
      () => undefined,
    )
  }

  /** These pieces may be asked for now. */
  #offer(news: readonly News<RoundMember>[]): void {
    for (const { teller, announced, which } of news) {
      if (teller.left) continue
      this.#strategy.join(teller.id, { givesUnits: announced.speaksBlocks === true })
      this.#strategy.has(teller.id, announced.number, which)
    }
    this.#moveSoon()
  }

  #got(number: number): void {
    const blocks = this.#task.piece(number) === undefined ? this.#task.blocks(number) : 'all'
    // With its last block the piece is about to be held, and then it is told again.
    if (blocks === undefined || (blocks !== 'all' && blocks.full)) return
    this.#strategy.got(number, blocks)
    this.#moveSoon()
  }

  /** Once for all that happens in one turn of the event loop. */
  #moveSoon(): void {
    if (this.#moving) return
    this.#moving = true
    queueMicrotask(() => {
      this.#moving = false
      this.#move()
    })
  }

  /** Starts what can be started, and ends the round when it has nothing more to give. */
  #move(): void {
    if (this.#signal.aborted) return
    this.#counts.moves++
    clearTimeout(this.#patience)
    const { first, last } = this.#deps.wanted()
    if (this.#task.contentLength !== undefined) this.#strategy.setContentLength(this.#task.contentLength)
    this.#strategy.want(first, last)
    if (this.#strategy.complete) return this.#end({ doubted: !isHere(this.#task, this.#deps.wanted()) })
    if (this.#mayDoWithoutRecord) {
      for (const { teller, announced, which } of this.#news.withoutRecords()) {
        if (teller.left) continue
        this.#strategy.join(teller.id, { givesUnits: false })
        this.#strategy.has(teller.id, announced.number, which)
      }
    }
    this.#strategy.leaveOverdue()
    this.#askAll()
    const { here } = this.#members
    if (here.some(({ busy }) => busy)) {
      // Nothing may happen until the slowest has answered: look whether somebody else would be faster.
      this.#patience = setTimeout(() => this.#moveSoon(), LOOK_AGAIN_MS)
      return
    }
    if (here.every(({ id, toldAll }) => toldAll && !this.#strategy.canGive(id))) return this.#resolve()
    this.#patience = setTimeout(() => {
      const { missing, open } = this.#strategy
      this.#deps.log.info({ task: this.#task.meta.taskId, missing, open }, 'parents have nothing new for too long')
      this.#resolve()
    }, this.#deps.patienceMs)
  }

  #askAll(): void {
    const members = this.#members.here
    let busy = members.filter((member) => member.busy).length
    this.#turn++
    for (let index = 0; index < members.length; index++) {
      const member = members[(index + this.#turn) % members.length]
      if (member === undefined || (!member.busy && busy >= this.#deps.concurrentPieces)) continue
      if (!member.busy) busy++
      for (let ask = this.#strategy.next(member.id); ask !== undefined; ask = this.#strategy.next(member.id))
        this.#run(this.#fetch(member, ask))
      if (!member.busy) busy--
    }
  }

  async #fetch(member: RoundMember, ask: Ask): Promise<void> {
    const onSilent = (): void => this.#silent(member)
    const onNearly = (): void => this.#nearly(ask)
    this.#counts.asks++
    try {
      await member.bring(
        ask,
        this.#news.record(ask.piece),
        this.#task,
        { ...this.#deps, onSilent, onNearly },
        this.#signal,
      )
      this.#strategy.revived(member.id)
      this.#strategy.done(ask)
      for (const late of this.#strategy.needless()) this.#members.get(late.member)?.callOff()
    } catch (error) {
      this.#strategy.failed(ask)
      if (!this.#signal.aborted && !member.left && !member.wasCalledOff(ask)) this.#lose(member, ask, error)
    }
    this.#moveSoon()
  }

  #nearly(ask: Ask): void {
    this.#strategy.nearly(ask)
    this.#moveSoon()
  }

  /** What it was asked for is asked of others as well. */
  #silent(member: RoundMember): void {
    this.#deps.log.debug({ parent: member.parent.hostname }, 'a parent is silent')
    this.#strategy.stalled(member.id)
    this.#moveSoon()
  }

  #end({ doubted }: { readonly doubted: boolean }): void {
    this.doubted = doubted
    this.#resolve()
  }

  /** A piece that a parent did not give: told to the planner, and asked of another one. */
  #lose(member: RoundMember, ask: Ask, error: unknown): void {
    if (error instanceof Doubted) return this.#end({ doubted: true })
    const { piece: number } = ask
    const failure = asFailure(error, 'peer.unreachable')
    if (failure.code.startsWith('storage.')) return this.#reject(failure)
    this.#deps.failed(number, member.parent, failure)
    member.lacks(number)
    this.#strategy.hasNot(member.id, number)
    if (failure.code !== 'piece.missing' || member.missed(ask)) this.#drop(member, failure)
  }

  #drop(member: RoundMember, failure: Failure): void {
    if (!member.left) {
      const { hostname, ip } = member.parent
      this.#deps.log.warn(
        { task: this.#task.meta.taskId, parent: hostname, ip, code: failure.code, why: failure.message },
        'parent left out',
      )
    }
    member.leave()
    this.#strategy.leave(member.id)
  }

  /** A CRC-32 of the sender's own will do only where nobody is left who could still bring a record. */
  get #mayDoWithoutRecord(): boolean {
    return !this.#deps.requireRecords && !this.#members.here.some(({ mayBringRecords }) => mayBringRecords)
  }
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
