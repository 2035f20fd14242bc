import { setMaxListeners } from 'node:events'
import {
  type Announced,
  type BlockChannel,
  fetchFromParents,
  type Parent,
  type ParentLink,
  type RoundDeps,
  syncPieces,
} from '#daemon'
import { syncPiecesRequest, toldPieceOf } from '#api'
import { Failure } from '#core'
import { silentLog } from '#runtime'
import { Connection } from './connection.ts'
import type { GatherDeps, Giver } from './gather.ts'
import { Pipe } from './pipe.ts'
import { RealStore } from './real-store.ts'

/** A new stream for what a parent has: TCP, HTTP/2, and the request. The first answer takes one more. */
const ASKING_LATENCIES = 3
const PATIENCE_MS = 60_000

/**
 * A round by src/daemon/round.ts itself, told by src/daemon/sync-pieces.ts, on a store and links that hold no bytes. A
 * promise for each block and its news: it can be had for some ten peers, to measure the model of it by.
 */
export async function gatherForReal(
  taker: Giver,
  parents: readonly Parent[],
  deps: GatherDeps,
  signal: AbortSignal,
): Promise<void> {
  const { task } = RealStore.of(taker.holdings, deps.clock)
  const round: RoundDeps = {
    link: linkOf(taker, deps),
    records: { hasSigners: true, believes: () => true } as unknown as RoundDeps['records'],
    requireRecords: true,
    concurrentPieces: deps.concurrentPieces,
    patienceMs: PATIENCE_MS,
    log: silentLog,
    limit: (sink) => sink,
    inOrder: () => false,
    wanted: () => ({ first: 0, last: undefined }),
    failed: (number, parent) => deps.failed(number, parent.id),
    refresh: (stop) => deps.refresh(stop),
  }
  const forget = task.onPiece(({ number }) => deps.held(number, '', 0))
  try {
    await fetchFromParents(task, parents, round, signal)
  } finally {
    forget()
  }
}

/** The talks with parents, over the modelled links. */
function linkOf(taker: Giver, deps: GatherDeps): ParentLink {
  const givers = new Map<string, Giver>()
  return {
    sync(parent, ask, signal) {
      const giver = deps.giverOf(parent)
      if (giver === undefined) throw gone()
      givers.set(parent.ip, giver)
      setMaxListeners(0, signal) // every talk of a round ends with it
      return listen(giver, taker, parent, ask, deps, signal)
    },
    openBlocks(at) {
      const giver = givers.get(at.ip)
      if (giver === undefined) throw gone()
      return new Channel(giver, taker, deps)
    },
    fetch: () => Promise.reject(new Error('these givers are asked for blocks')),
  }
}

/** What the parent's own `syncPieces` says, a latency later. */
async function* listen(
  giver: Giver,
  taker: Giver,
  parent: Parent,
  ask: Parameters<ParentLink['sync']>[1],
  { clock, wires }: GatherDeps,
  signal: AbortSignal,
): AsyncGenerator<Announced> {
  const latencyMs = wires.latency(giver.machine, taker.machine)
  const news = new Pipe<Announced>()
  const later = (run: () => void): void => void clock.timer(latencyMs, run)
  const hangUp = new AbortController()
  const stop = (): void => {
    clock.stir()
    hangUp.abort()
    news.end()
  }
  const stops = [
    giver.machine.onDeath(() => {
      hangUp.abort()
      later(() => news.fail(gone()))
    }),
    () => signal.removeEventListener('abort', stop),
  ]
  signal.addEventListener('abort', stop, { once: true })
  try {
    await clock.sleep(ASKING_LATENCIES * latencyMs, signal)
    if (!giver.machine.alive) throw gone()
    const { task, handouts } = RealStore.of(giver.holdings, clock)
    const isRunning = (): boolean => !giver.holdings.complete
    const served = { store: { get: () => task }, handouts, isRunning, ip: parent.ip, port: 4005, sent: () => undefined }
    const request = syncPiecesRequest({ hostId: '', ...ask, speaksBlocks: true })
    const telling = (async () => {
      for await (const response of syncPieces(request, served, hangUp.signal)) {
        const { port = 4005, ...told } = toldPieceOf(response, '')
        later(() => news.put({ ...told, ip: parent.ip, port }))
      }
      if (!hangUp.signal.aborted) later(() => news.end())
    })()
    telling.catch((error: unknown) => news.fail(error))
    yield* news
  } finally {
    for (const each of stops) each()
    hangUp.abort()
  }
}

interface Wish {
  readonly number: number
  readonly first: number
  readonly count: number
  readonly came: () => void
  readonly lost: (why: Failure) => void
}

/** A kept connection to a parent; another one after it was closed. */
class Channel implements BlockChannel {
  readonly #giver: Giver
  readonly #taker: Giver
  readonly #deps: GatherDeps
  readonly #wishes = new Set<Wish>()
  #connection: Connection<Wish> | undefined

  constructor(giver: Giver, taker: Giver, deps: GatherDeps) {
    this.#giver = giver
    this.#taker = taker
    this.#deps = deps
  }

  ask({ number, first, count, bytes }: Parameters<BlockChannel['ask']>[0]): Promise<void> {
    if (!this.#giver.machine.alive) return Promise.reject(gone())
    return new Promise((came, lost) => {
      const wish: Wish = { number, first, count, came, lost }
      this.#wishes.add(wish)
      this.#connection ??= this.#connect()
      this.#connection.ask(wish, bytes)
    })
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
    this.#rejectAll()
  }

  #connect(): Connection<Wish> {
    const { clock, wires } = this.#deps
    const { handouts, task } = RealStore.of(this.#giver.holdings, clock)
    const talk = {
      asked: ({ number, first, count }: Wish) => handouts.asked(task, number, first, count),
      sent: ({ number, count }: Wish) => {
        handouts.sent(task, number, count)
        clock.stir()
      },
      arrived: (wish: Wish) => {
        this.#wishes.delete(wish)
        wish.came()
        clock.stir()
      },
      broken: () => {
        this.#connection = undefined
        clock.timer(wires.latency(this.#giver.machine, this.#taker.machine), () => this.#rejectAll())
      },
    }
    return new Connection({ from: this.#giver.machine, to: this.#taker.machine }, talk, clock, wires)
  }

  #rejectAll(): void {
    for (const wish of this.#wishes) wish.lost(gone())
    this.#wishes.clear()
    this.#deps.clock.stir()
  }
}

function gone(): Failure {
  return new Failure('peer.unreachable', 'its machine is gone')
}
