import { type BlockSet, Failure, type PieceRecord } from '#core'
import { CheckedBlocks, type WrittenBlock } from './checked-blocks.ts'
import type { HeldPiece, UnsignedPiece, WriteOptions } from './contract.ts'

/** A block that somebody brought. */
export interface BroughtBlock extends WrittenBlock {
  /** It was checked against a record that is believed. */
  readonly checked: boolean
}

/** A block that is being written, or is written and matches no record. */
interface OpenBlock {
  readonly block: BroughtBlock
  done: boolean
  /** Also that the piece is held, when this was its last block. */
  readonly ended: Promise<void>
}

export type PieceFacts = Pick<HeldPiece, 'costMs' | 'parentId' | 'traffic' | 'brought'>

/** What a draft needs of its task. */
export interface DraftTask {
  readonly contentLength: number | undefined
  held(number: number): boolean
  /** Lists a piece whose bytes are all written. */
  keep(piece: UnsignedPiece, facts: PieceFacts, sign: WriteOptions['sign']): Promise<void>
  /** A block of a piece became readable. */
  tellBlock(number: number): void
  /** Blocks that were readable are not any more, and others may be written in their place. */
  forgot(): void
}

/**
 * A piece that is not held yet. All who write it at the same time share its draft, so that no one writes over bytes
 * which another is going to count on. Blocks that match the piece's record are readable, and stay when their writers
 * have gone; others count only as long as the piece is being written.
 */
export class Draft {
  readonly number: number
  /** How many are writing it. */
  writers = 0
  readonly #task: DraftTask
  readonly #open = new Map<number, OpenBlock>()
  #checked: CheckedBlocks | undefined
  #kept: Promise<void> | undefined
  /** Of some block there is nothing on disk but what was there: the piece turned out to be held. */
  #spared = false

  constructor(number: number, task: DraftTask) {
    this.number = number
    this.#task = task
  }

  /** Set once somebody has brought the whole piece: what else comes is not needed. Resolves when it is held. */
  get kept(): Promise<void> | undefined {
    return this.#kept
  }

  /** What the readable blocks were checked against; undefined when there are none. */
  get record(): PieceRecord | undefined {
    return this.size === 0 ? undefined : this.#checked?.record
  }

  /** How many blocks are readable. */
  get size(): number {
    return this.#checked?.size ?? 0
  }

  /** Bytes of the readable blocks. */
  get bytes(): number {
    return this.#checked?.bytes ?? 0
  }

  has(index: number): boolean {
    return this.#checked?.has(index) ?? false
  }

  blocks(): BlockSet | undefined {
    return this.size === 0 ? undefined : this.#checked?.blocks()
  }

  /**
   * Makes this the record that blocks have to match to be readable. Where another one stands, the newer is believed,
   * and blocks that are here are forgotten; but while somebody writes, it is `piece.corrupt`.
   */
  adopt(record: PieceRecord): void {
    if (this.#checked?.says(record) === true) return
    if (this.#checked !== undefined && this.writers > 0) {
      throw new Failure(
        'piece.corrupt',
        `piece ${this.number} is being written by another record than ${record.signer}'s`,
      )
    }
    this.forget()
    this.#checked = new CheckedBlocks(record)
    for (const open of this.#open.values()) {
      if (open.done) this.#settle(open)?.catch(() => undefined) // its own writer keeps it, or tells why not
    }
  }

  /**
   * Sees that a block gets to disk, once. Of two that differ, the one that is readable wins, then the one that was
   * checked; between two unchecked ones the first stays. The other is `piece.corrupt`. Resolves when the block is
   * written, and readable if it matches the record; with the last one, when the piece is held. `write` tells false when
   * it wrote nothing because the piece is held.
   */
  put(block: BroughtBlock, write: () => Promise<boolean>): Promise<void> {
    const { index, digest } = block
    if (this.has(index)) {
      if (this.#checked?.isRight(index, digest) === true) return Promise.resolve()
      // What was read from the source, or checked, may be newer. Nobody else is writing: the next try shall not be held up.
      if (this.writers <= 1 && (block.checked || block.from.traffic === 'source')) this.forget()
      return this.#refuse(block)
    }
    const other = this.#open.get(index)
    if (other !== undefined && sameBytes(other.block.digest, digest)) return other.ended
    if (other !== undefined && !block.checked) return this.#refuse(block)
    const written = other === undefined ? write() : other.ended.catch(() => undefined).then(write)
    return this.#openBlock(block, written)
  }

  /**
   * Lets the first who brings the whole piece `store` it; whoever comes later waits for that. `piece.corrupt` when the
   * blocks on disk are another's, checked ones; `piece.missing` when some were forgotten since they came.
   */
  keep(digests: readonly Uint8Array[], store: () => Promise<void>): Promise<void> {
    if (this.#kept !== undefined) return this.#kept
    if (this.#spared && !this.#task.held(this.number)) {
      return Promise.reject(new Failure('piece.missing', `piece ${this.number} was held and is not any more`))
    }
    const blocks = [...digests.entries()]
    if (blocks.some(([index, digest]) => this.#hasOther(index, digest)))
      return Promise.reject(
        new Failure('piece.corrupt', `piece ${this.number} came with other bytes from somebody else`),
      )
    if (blocks.some(([index]) => this.#isForgotten(index)))
      return Promise.reject(new Failure('piece.missing', `blocks of piece ${this.number} were forgotten meanwhile`))
    return this.#keeping(store())
  }

  /** Its last writer has gone: what matches no record counts no more. */
  rest(): void {
    this.#open.clear()
    this.#spared = false
    if (this.size === 0) this.#checked = undefined
  }

  /** Takes back what was readable, and the record it was checked against. */
  forget(): void {
    if (this.#checked === undefined) return
    const { size } = this
    this.#checked = undefined
    if (size > 0) this.#task.forgot()
  }

  /** The piece has this length: a record that says something else is believed no more. */
  forgetUnless(length: number): void {
    if (this.#checked?.record.length !== length) this.forget()
  }

  /** Takes back what was readable: perhaps it does not match its record any more. */
  doubt(): void {
    const record = this.#checked?.record
    this.forget()
    if (record !== undefined) this.#checked = new CheckedBlocks(record)
  }

  #openBlock(block: BroughtBlock, written: Promise<boolean>): Promise<void> {
    const ended = written.then((wrote) => {
      open.done = true
      if (!wrote) this.#spared = true
      return this.#settle(open)
    })
    const open: OpenBlock = { block, done: false, ended }
    this.#open.set(block.index, open)
    ended.catch(() => this.#drop(open))
    return ended
  }

  #refuse({ index }: BroughtBlock): Promise<never> {
    return Promise.reject(
      new Failure('piece.corrupt', `block ${index} of piece ${this.number} came with other bytes from somebody else`),
    )
  }

  /** What is on disk, or was to be, is not that: somebody else's. */
  #hasOther(index: number, digest: Uint8Array): boolean {
    const open = this.#open.get(index)
    if (open !== undefined && !this.has(index)) return !sameBytes(open.block.digest, digest)
    return this.#checked?.isRight(index, digest) === false
  }

  /** It came, and was taken back: there was doubt whether it is still what it was. */
  #isForgotten(index: number): boolean {
    return !this.has(index) && !this.#open.has(index)
  }

  /** A block is written: it is readable now, if it matches the record. The last one is so with its piece. */
  #settle(open: OpenBlock): Promise<void> | undefined {
    const { block } = open
    const { index, digest } = block
    const checked = this.#checked
    const needed = this.#open.get(index) === open && this.#kept === undefined && !this.#spared
    if (checked === undefined || !needed || !checked.isRight(index, digest)) return undefined
    if (checked.lacksOne) return this.#keepChecked(checked, open)
    checked.add(block)
    this.#open.delete(index)
    this.#task.tellBlock(this.number)
    return undefined
  }

  #keepChecked(checked: CheckedBlocks, last: OpenBlock): Promise<void> {
    const { number, offset, length, blocks, signer, signature, contentLength } = checked.record
    const { crc32, costMs, brought } = checked.wholeWith(last.block)
    const { from } = last.block
    const piece = { number, offset, length, crc32, blocks, contentLength: this.#task.contentLength }
    const facts = { costMs, traffic: from.traffic, parentId: from.traffic === 'peer' ? from.parentId : '', brought }
    const kept = this.#keeping(this.#task.keep(piece, facts, () => ({ signer, signature, contentLength })))
    // It has to come again: who brings it tries to keep the piece once more.
    kept.catch(() => this.#drop(last))
    return kept
  }

  #keeping(kept: Promise<void>): Promise<void> {
    this.#kept = kept
    kept.catch(() => (this.#kept = undefined))
    return kept
  }

  #drop(open: OpenBlock): void {
    if (this.#open.get(open.block.index) === open) this.#open.delete(open.block.index)
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
