import { BLOCK_LENGTH, type PieceRecord, pieceSpan } from '#core'
import { Draft, type DraftTask } from './draft.ts'

/** The pieces of a task that are not held yet, as far as somebody writes them or has left readable blocks. */
export class Drafts {
  readonly #pieceLength: number
  readonly #task: DraftTask
  readonly #drafts = new Map<number, Draft>()
  #forgotten = 0

  constructor(pieceLength: number, task: Omit<DraftTask, 'forgot'>) {
    this.#pieceLength = pieceLength
    this.#task = Object.assign(task, { forgot: () => void this.#forgotten++ })
  }

  /** Grows whenever readable blocks are forgotten: who read meanwhile may have read something else. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Bytes of all readable blocks. */
  get bytes(): number {
    let bytes = 0
    for (const draft of this.#drafts.values()) bytes += draft.bytes
    return bytes
  }

  /** The draft of a piece, shared with everyone who writes it; each join is to be left again. See `adopt`. */
  join(number: number, record?: PieceRecord): Draft {
    const draft = this.#drafts.get(number) ?? new Draft(number, this.#task)
    if (record !== undefined) draft.adopt(record)
    this.#drafts.set(number, draft)
    draft.writers++
    return draft
  }

  leave(draft: Draft): void {
    if (--draft.writers > 0) return
    draft.rest()
    this.#tidy(draft)
  }

  /** The piece is held. Who still writes its draft finds that out. */
  done(number: number): void {
    this.#drafts.delete(number)
  }

  /** The draft of a piece, when there are readable blocks. */
  readable(number: number): Draft | undefined {
    const draft = this.#drafts.get(number)
    return draft === undefined || draft.size === 0 ? undefined : draft
  }

  /** The offset behind the readable block that holds the byte at `offset`; `offset` when there is none. */
  endOfBlock(offset: number): number {
    const number = Math.floor(offset / this.#pieceLength)
    const record = this.readable(number)?.record
    if (record === undefined) return offset
    const index = Math.floor((offset - record.offset) / BLOCK_LENGTH)
    if (this.#drafts.get(number)?.has(index) !== true) return offset
    return record.offset + Math.min((index + 1) * BLOCK_LENGTH, record.length)
  }

  /** The length of the content became known: records that say something else are believed no more. */
  checkLengths(contentLength: number): void {
    for (const [number, draft] of this.#drafts) {
      draft.forgetUnless(pieceSpan(number, this.#pieceLength, contentLength).length)
      this.#tidy(draft)
    }
  }

  /** Whatever is readable may have been damaged. */
  doubt(): void {
    for (const draft of this.#drafts.values()) {
      draft.doubt()
      this.#tidy(draft)
    }
  }

  #tidy(draft: Draft): void {
    const forgettable = draft.writers === 0 && draft.size === 0
    if (forgettable && this.#drafts.get(draft.number) === draft) this.#drafts.delete(draft.number)
  }
}
