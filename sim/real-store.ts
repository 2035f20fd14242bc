import { type fetchFromParents, Handouts } from '#daemon'
import { BlockSet, type PieceRecord } from '#core'
import type { Clock } from './clock.ts'
import type { Holdings } from './holdings.ts'

type Task = Parameters<typeof fetchFromParents>[0]
type Piece = ReturnType<Task['pieces']> extends Iterable<infer P> ? P : never

const NONE = new Uint8Array(0)
const stores = new WeakMap<Holdings, RealStore>()

/** What the daemon's own round and its own telling see of a stored task: the holdings of one peer, with no bytes. */
export class RealStore {
  readonly handouts = new Handouts()
  readonly task: Task
  readonly #holdings: Holdings
  readonly #clock: Clock
  readonly #onPiece = new Set<(piece: Piece) => void>()
  readonly #onBlocks = new Set<(number: number) => void>()
  /** Read from the origin. */
  readonly #firsthand = new Set<number>()

  /** One for each peer. */
  static of(holdings: Holdings, clock: Clock): RealStore {
    const known = stores.get(holdings)
    if (known !== undefined) return known
    const made = new RealStore(holdings, clock)
    stores.set(holdings, made)
    return made
  }

  private constructor(holdings: Holdings, clock: Clock) {
    this.#holdings = holdings
    this.#clock = clock
    for (const number of holdings.firsthand.numbers) this.#firsthand.add(number)
    this.task = this.#newTask()
    holdings.onChange = (number, source) => this.#tell(number, source)
  }

  #tell(number: number, source: boolean): void {
    if (source) this.#firsthand.add(number)
    const piece = this.#pieceOf(number)
    if (piece === undefined) for (const tell of this.#onBlocks) tell(number)
    else for (const tell of this.#onPiece) tell(piece)
    this.#clock.stir()
  }

  #pieceOf(number: number): Piece | undefined {
    const { shape } = this.#holdings
    if (number >= shape.pieceCount || !this.#holdings.has(number)) return undefined
    const traffic = this.#firsthand.has(number) ? 'source' : 'peer'
    return { ...this.#spanOf(number), traffic } as Piece
  }

  #spanOf(number: number): Pick<PieceRecord, 'number' | 'offset' | 'length'> {
    return { number, offset: number * this.#holdings.shape.pieceLength, length: this.#holdings.lengthOf(number) }
  }

  /** Some of its blocks; undefined: none. */
  #blocksOf(number: number): BlockSet | undefined {
    if (!this.#holdings.hasBegun(number)) return undefined
    const count = this.#holdings.unitsIn(number)
    const first = number * this.#holdings.unitsPerPiece
    const blocks = BlockSet.of(count)
    for (let index = 0; index < count; index++) if (this.#holdings.hasUnit(first + index)) blocks.add(index)
    return blocks
  }

  #recordOf(number: number): PieceRecord | undefined {
    if (!this.#holdings.hasBegun(number)) return undefined
    const { meta, contentLength } = this.task
    const { taskId, version, pieceLength } = meta
    const unsigned = { taskId, version, pieceLength, ...this.#spanOf(number), contentLength }
    return { ...unsigned, blocks: NONE, signer: '', signature: NONE }
  }

  /** All that a round, and who tells of pieces, look at. */
  #newTask(): Task {
    const holdings = this.#holdings
    const { bytes, pieceLength, pieceCount } = holdings.shape
    const numbers = Array.from({ length: pieceCount }, (_, number) => number)
    const task = {
      meta: { taskId: '', version: '', pieceLength },
      contentLength: bytes,
      pieceCount,
      signers: [],
      get complete() {
        return holdings.complete
      },
      get heldBytes() {
        return holdings.heldBytes
      },
      hold: () => ({ [Symbol.dispose]: () => undefined }),
      piece: (number: number) => this.#pieceOf(number),
      pieces: () => numbers.flatMap((number) => this.#pieceOf(number) ?? []),
      blocks: (number: number) => this.#blocksOf(number),
      record: (number: number) => this.#recordOf(number),
      onPiece: (tell: (piece: Piece) => void) => added(this.#onPiece, tell),
      onBlocks: (tell: (number: number) => void) => added(this.#onBlocks, tell),
      writeBlocks: (run: { record: PieceRecord; first: number; count: number }) => ({
        end: () => {
          const start = run.record.number * holdings.unitsPerPiece + run.first
          for (let unit = start; unit < start + run.count; unit++) holdings.gain(unit)
          return Promise.resolve()
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    }
    return task as unknown as Task
  }
}

function added<T>(set: Set<T>, item: T): () => void {
  set.add(item)
  return () => set.delete(item)
}
