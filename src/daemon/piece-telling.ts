import type { SyncPiecesRequest } from '#api'
import { type PieceRecord, type PieceSpan, pieceSpan } from '#core'
import type { StoredTask } from '#storage'
import type { HandoutChild, TaskHandout } from './handouts.ts'

/** How often it is checked whether pieces can still come. */
const CHECK_MS = 500

/** What one child is still to be told of a task. Nobody else tells it. */
export class PieceTelling implements Disposable {
  readonly speaksBlocks: boolean
  readonly #task: StoredTask
  readonly #handout: TaskHandout | undefined
  /** Pieces that the child asked for and was not told as whole; undefined: everything. */
  readonly #asked: Set<number> | undefined
  readonly #news = new Set<number>()
  readonly #recorded = new Set<number>()
  readonly #forget: (() => void)[]
  #wholePieces = false
  /** Somebody called since the last look, maybe while nobody waited. */
  #woken = false
  #wake = (): void => undefined
  readonly #child: HandoutChild | undefined

  constructor(task: StoredTask, request: SyncPiecesRequest, handout: TaskHandout | undefined) {
    this.#task = task
    this.#handout = handout
    this.speaksBlocks = request.speaksBlocks
    this.#asked = request.allPieces ? undefined : askedOf(task, request)
    this.#child = handout?.join(
      (number) => this.#wants(number),
      () => this.wake(),
    )
    this.#forget = [task.onPiece(({ number }) => this.#add(number, true))]
    if (this.speaksBlocks) this.#forget.push(task.onBlocks((number) => this.#add(number, false)))
    for (const { number } of task.pieces()) this.#add(number, true)
    if (this.speaksBlocks) this.#addBegun()
  }

  [Symbol.dispose](): void {
    for (const stop of this.#forget) stop()
    this.#child?.leave()
  }

  /** There is something to tell. */
  get hasNews(): boolean {
    return this.#news.size > 0
  }

  /** And nothing of it is a whole piece: it can wait for more. */
  get onlyBlocks(): boolean {
    return !this.#wholePieces && this.#news.size > 0
  }

  /** Everything that was asked for was told. */
  get toldAll(): boolean {
    return this.#asked?.size === 0
  }

  /** How many are told of the task here. */
  get children(): number {
    return this.#handout?.children ?? 1
  }

  /** Some of what is here is for others first. */
  get keepsBack(): boolean {
    return this.#child?.keepsBack ?? false
  }

  /** Pieces to tell of now. */
  take(): number[] {
    for (const number of this.#child?.next() ?? []) if (this.#wants(number)) this.#news.add(number)
    this.#woken = false
    const numbers = [...this.#news]
    this.#news.clear()
    this.#wholePieces = false
    return numbers
  }

  /** The piece was told as whole: there is no more to say of it. */
  told(number: number): void {
    this.#asked?.delete(number)
  }

  /** The child was told of it, with its record. */
  isKnown(number: number): boolean {
    return this.#recorded.has(number)
  }

  /** Its record, when the child was not given it yet. */
  recordOf(number: number): PieceRecord | undefined {
    if (this.#recorded.has(number)) return undefined
    const record = this.#task.record(number)
    if (record !== undefined) this.#recorded.add(number)
    return record
  }

  /** Where a piece lies; undefined while nobody knows how long it is. */
  spanOf(number: number): PieceSpan | undefined {
    const { contentLength, meta } = this.#task
    return contentLength === undefined ? undefined : pieceSpan(number, meta.pieceLength, contentLength)
  }

  wake(): void {
    this.#woken = true
    this.#wake()
  }

  /** Resolves when there may be something to tell, at the latest after half a second. */
  async news(): Promise<void> {
    if (this.#news.size > 0 || this.#woken) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CHECK_MS)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #wants(number: number): boolean {
    return this.#asked === undefined || this.#asked.has(number)
  }

  #addBegun(): void {
    for (let number = 0; number < (this.#task.pieceCount ?? 0); number++) {
      if (this.#task.piece(number) === undefined && this.#task.blocks(number) !== undefined) this.#add(number, false)
    }
  }

  #add(number: number, whole: boolean): void {
    if (!this.#wants(number) || (whole && this.#handout?.keeps(number) === true)) return
    this.#news.add(number)
    this.#wholePieces ||= whole
    this.#wake()
  }
}

/** What the task cannot have takes no memory, and nobody waits for it. */
function askedOf({ pieceCount = Number.POSITIVE_INFINITY }: StoredTask, asked: SyncPiecesRequest): Set<number> {
  return new Set(asked.interestedPieceNumbers.filter((number) => number < pieceCount))
}
