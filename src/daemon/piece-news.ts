import { BlockSet, blockCount, type PieceRecord, pieceSpan } from '#core'
import type { StoredTask } from '#storage'
import type { Announced } from './from-parent.ts'
import type { Which } from './strategy/index.ts'
import type { RecordChecker } from './trust.ts'

/** Somebody who tells of pieces, as the news sees it. */
export interface Teller {
  readonly id: string
}

/** What may be asked of somebody. */
export interface News<T extends Teller> {
  readonly teller: T
  readonly announced: Announced
  readonly which: Which
}

/**
 * What members of a round tell of pieces, as far as it may be acted upon: of pieces that the task can have, and once a
 * record that is believed is known for them.
 */
export class PieceNews<T extends Teller> {
  readonly #task: StoredTask
  readonly #checker: RecordChecker
  readonly #records = new Map<number, PieceRecord>()
  /** Told by members before anybody brought a record. */
  readonly #waiting = new Map<number, Map<T, News<T>>>()

  constructor(task: StoredTask, checker: RecordChecker) {
    this.#task = task
    this.#checker = checker
  }

  /** How many pieces are known to be there: a record tells of them, or they are held. */
  get known(): number {
    return Math.max(this.#records.size, Math.ceil(this.#task.heldBytes / this.#task.meta.pieceLength))
  }

  /** The record of a piece, from whoever sent it first. */
  record(number: number): PieceRecord | undefined {
    return this.#records.get(number)
  }

  /** What can be acted upon now, of all that was told. */
  hear(teller: T, announced: Announced): News<T>[] {
    const which = this.#whichOf(announced)
    if (which === undefined) return []
    const news = { teller, announced, which }
    if (this.#learn(announced)) return [news, ...this.#takeWaiting(announced.number)]
    if (this.#records.has(announced.number) || !this.#checker.hasSigners) return [news]
    const waiting = this.#waiting.get(announced.number) ?? new Map<T, News<T>>()
    this.#waiting.set(announced.number, waiting)
    // A record comes once. It may be believed later, when more is told of the piece.
    const record = announced.record ?? waiting.get(teller)?.announced.record
    waiting.set(teller, { ...news, announced: { ...announced, record } })
    return []
  }

  /** The same again: signers may count by now that did not when they were heard. */
  reconsider(): News<T>[] {
    const told = [...this.#waiting.values()].flatMap((waiting) => [...waiting.values()])
    return told.flatMap(({ announced }) => (this.#learn(announced) ? this.#takeWaiting(announced.number) : []))
  }

  /** What was told without a record, when there is nobody left who could bring one. */
  withoutRecords(): News<T>[] {
    return [...this.#waiting.keys()].flatMap((number) => this.#takeWaiting(number))
  }

  #takeWaiting(number: number): News<T>[] {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    return [...(waiting?.values() ?? [])]
  }

  /** True when this brought the record of the piece. The same record from many is checked once. */
  #learn({ number, record, length }: Announced): boolean {
    if (record === undefined || this.#records.has(number)) return false
    if (!this.#matches(record, length) || !this.#checker.believes(record)) return false
    this.#records.set(number, record)
    return true
  }

  #matches(record: PieceRecord, length: number): boolean {
    const { taskId, version, pieceLength } = this.#task.meta
    const isThisTask = record.taskId === taskId && record.version === version && record.pieceLength === pieceLength
    return isThisTask && record.offset === record.number * pieceLength && record.length === length
  }

  /** A parent may only speak of pieces, and of blocks, that the task can have. */
  #whichOf({ number, offset, length, blocks }: Announced): Which | undefined {
    if (!Number.isSafeInteger(number) || number < 0 || length <= 0) return undefined
    const span = pieceSpan(number, this.#task.meta.pieceLength, this.#task.contentLength)
    const fits = this.#task.contentLength === undefined ? length <= span.length : length === span.length
    if (offset !== span.offset || !fits) return undefined
    if (blocks === undefined) return 'all'
    try {
      return BlockSet.fromBytes(blocks, blockCount(length))
    } catch {
      return undefined
    }
  }
}
