import { setMaxListeners } from 'node:events'
import { type Announced, fetchFromParents, type Parent, type ParentLink, type RoundDeps } from '#daemon'
import { Failure } from '#core'
import { silentLog } from '#runtime'
import type { GatherDeps, Giver } from './gather.ts'
import { Transfer } from './transfer.ts'

type Task = Parameters<typeof fetchFromParents>[0]
/** A new stream for what a parent has: TCP, HTTP/2 and the request, and the way back. */
const LISTEN_LATENCIES = 4
const PATIENCE_MS = 60_000

/**
 * A round by src/daemon/round.ts itself, on a store and links that hold no bytes: whole pieces only. It looks at every
 * missing piece at every piece of news, and so can be had for some ten peers, to measure the model of it by.
 */
export function gatherForReal(
  taker: Giver,
  parents: readonly Parent[],
  deps: GatherDeps,
  signal: AbortSignal,
): Promise<void> {
  const store = new Store(taker, deps)
  const { concurrentPieces } = deps
  const round: RoundDeps = {
    link: linkOf(taker, deps),
    // No records are told, so none are missed.
    records: { hasSigners: false, believes: () => false } as unknown as RoundDeps['records'],
    requireRecords: false,
    concurrentPieces,
    patienceMs: PATIENCE_MS,
    log: silentLog,
    limit: (sink) => sink,
    inOrder: () => false,
    wanted: () => ({ first: 0, last: undefined }),
    failed: (number, parent) => deps.failed(number, parent.id),
    refresh: (stop) => deps.refresh(stop),
  }
  return fetchFromParents(store.task, parents, round, signal)
}

/** What a round sees of a stored task. */
class Store {
  readonly #taker: Giver
  readonly #deps: GatherDeps
  readonly #listeners = new Set<(piece: never) => void>()

  constructor(taker: Giver, deps: GatherDeps) {
    this.#taker = taker
    this.#deps = deps
  }

  get task(): Task {
    const { holdings } = this.#taker
    const { bytes, pieceLength, pieceCount } = holdings.shape
    return {
      meta: { taskId: '', version: '', pieceLength },
      contentLength: bytes,
      pieceCount,
      piece: (number: number) => (holdings.has(number) ? HELD : undefined),
      onPiece: (listener: (piece: never) => void) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
      pieces: () =>
        Array.from({ length: holdings.shape.pieceCount }, (_, number) => ({ number })).filter(({ number }) =>
          holdings.has(number),
        ),
      blocks: () => undefined,
      onBlocks: () => () => undefined,
      write: ({ first, from }: { first: number; from: { parentId: string } }) => this.#writer(first, from.parentId),
    } as unknown as Task
  }

  #writer(number: number, parentId: string): object {
    const startedAtMs = this.#deps.clock.now()
    return {
      end: () => {
        this.#taker.holdings.hold(number)
        this.#deps.held(number, parentId, this.#deps.clock.now() - startedAtMs)
        for (const tell of this.#listeners) tell({ number } as never)
        return Promise.resolve()
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  }
}

const HELD = {}

/** The two talks with a parent, over the modelled links. */
function linkOf(taker: Giver, deps: GatherDeps): ParentLink {
  const { clock, wires, askingLatencies } = deps
  const givers = new Map<string, Giver>()
  return {
    async *sync(parent, _ask, signal) {
      const giver = deps.giverOf(parent)
      if (giver === undefined) throw gone()
      givers.set(parent.ip, giver)
      setMaxListeners(0, signal) // every talk of a round ends with it
      const latencyMs = wires.latency(giver.machine, taker.machine)
      await clock.sleep(LISTEN_LATENCIES * latencyMs, signal)
      for (let read = 0; ; ) {
        const news = read < giver.holdings.offeredCount
        const atMs = news ? (giver.holdings.offeredAtMs[read] as number) + latencyMs : 0
        if (!giver.machine.alive) throw gone()
        if (news && atMs > clock.now()) await clock.sleep(atMs - clock.now(), signal)
        else if (news) yield announced(giver, giver.holdings.offered[read++] as number, parent)
        else if (giver.holdings.complete) return
        else await change(giver, signal)
      }
    },
    openBlocks: () => {
      throw new Error('these givers tell of no blocks')
    },
    async fetch({ number, ip }, _sink, signal) {
      const giver = givers.get(ip)
      if (giver === undefined) throw gone()
      const latencyMs = wires.latency(giver.machine, taker.machine)
      await new Promise<void>((resolve, reject) => {
        const end = taker.holdings.lengthOf(number)
        const done = (): void => {
          signal.removeEventListener('abort', stop)
          clock.stir()
          resolve()
        }
        const talk = {
          available: () => giver.holdings.available(number),
          arrived: () => undefined,
          done,
          broken: () => void clock.timer(latencyMs, () => reject(gone())),
        }
        const transfer = new Transfer({ from: giver.machine, to: taker.machine }, { start: 0, end }, talk, clock, wires)
        clock.at(clock.now() + askingLatencies * latencyMs, { fire: () => transfer.open() })
        const stop = (): void => {
          transfer.cancel()
          clock.stir()
          reject(gone())
        }
        signal.addEventListener('abort', stop, { once: true })
      })
    },
  }

  /** Another piece, or its death. */
  function change(giver: Giver, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clock.stir()
        for (const stop of stops) stop()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const stops = [giver.holdings.onOffer(end), giver.machine.onDeath(end)]
      signal.addEventListener('abort', end, { once: true })
    })
  }
}

function announced(giver: Giver, number: number, { ip }: Parent): Announced {
  const { shape } = giver.holdings
  const length = giver.holdings.lengthOf(number)
  return { number, offset: number * shape.pieceLength, length, ip, port: 4005, record: undefined }
}

function gone(): Failure {
  return new Failure('peer.unreachable', 'its machine is gone')
}
