import { crc32 } from '@node-rs/crc32'
import { blake3 } from '@napi-rs/blake-hash'
import { asFailure, BLOCK_LENGTH, blockCount, Failure, type PieceRecord, pieceSpan } from '#core'
import { type BufferPool, OWN_BUFFERS } from './buffers.ts'
import type { BlockWriteOptions, BlockWriter, TaskMeta } from './contract.ts'
import type { Draft } from './draft.ts'
import { DIGEST_LENGTH } from './journal-state.ts'
import { UnderWay } from './under-way.ts'
import { MAX_BUSY, RESUME_BUSY, type WriterTask } from './writer-task.ts'

type BlockTask = Pick<WriterTask, 'held' | 'leave' | 'write'>

export class DiskBlockWriter implements BlockWriter {
  readonly #task: BlockTask
  readonly #options: BlockWriteOptions
  readonly #from: { readonly traffic: 'peer'; readonly parentId: string }
  readonly #underWay: UnderWay
  readonly #left: () => void
  /** Undefined: the piece is held, its bytes are passed over. */
  readonly #draft: Draft | undefined
  /** Within the piece, as are the others. */
  readonly #end: number
  #position: number
  /** Bytes in the buffer, all of the block that begins at `#position - #filled`. */
  #filled = 0
  #markedAt: number | undefined
  #notKept: Failure | undefined
  #closed: Promise<void> | undefined

  /**
   * For options that `checkBlocks` found right, and the piece's draft, joined; it is left in the end. `left` is called
   * once nothing of this writer is under way any more.
   */
  constructor(
    task: BlockTask,
    draft: Draft | undefined,
    options: BlockWriteOptions,
    pool: BufferPool,
    left: () => void,
  ) {
    const { record, first, count, parentId } = options
    this.#draft = draft
    this.#task = task
    this.#options = options
    this.#from = { traffic: 'peer', parentId }
    this.#underWay = new UnderWay(pool, Math.min(count, OWN_BUFFERS))
    this.#left = left
    this.#position = first * BLOCK_LENGTH
    this.#end = Math.min((first + count) * BLOCK_LENGTH, record.length)
  }

  get full(): boolean {
    return this.#position >= this.#end
  }

  space(): Uint8Array {
    this.#throwFailure()
    if (this.full) return new Uint8Array(0)
    this.#markedAt ??= performance.now()
    return this.#underWay.buffer().subarray(this.#filled, this.#blockLength)
  }

  filled(length: number): boolean {
    this.#throwFailure()
    if (length > 0) {
      const blockLength = this.#blockLength
      const buffer = this.#underWay.filling
      if (buffer === undefined || this.#filled + length > blockLength) {
        throw this.#underWay.fail(new Error(`${length} bytes were filled into less space`))
      }
      this.#filled += length
      this.#position += length
      if (this.#filled === blockLength) this.#finishBlock(buffer)
    }
    return this.#underWay.calm(MAX_BUSY)
  }

  async drained(): Promise<void> {
    while (!this.#underWay.failed && !this.#underWay.calm(RESUME_BUSY)) await this.#underWay.change()
    this.#throwFailure()
  }

  async end(): Promise<void> {
    try {
      this.#throwFailure()
    } finally {
      await this.#close()
    }
    this.#underWay.throwFailure()
    if (this.#here()) return
    const { record, first, count } = this.#options
    throw (
      this.#notKept ??
      new Failure(
        'piece.missing',
        `of piece ${record.number} blocks ${first} to ${first + count - 1} were asked of parent ${this.#from.parentId}, and not all are here`,
      )
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }

  /** Length of the block that is being filled. */
  get #blockLength(): number {
    return Math.min(BLOCK_LENGTH, this.#options.record.length - (this.#position - this.#filled))
  }

  #finishBlock(buffer: Buffer): void {
    const start = this.#position - this.#filled
    const index = start / BLOCK_LENGTH
    const bytes = buffer.subarray(0, this.#filled)
    this.#filled = 0
    const draft = this.#draft
    if (draft === undefined || draft.kept !== undefined || draft.has(index)) {
      // Somebody else brought it. The buffer takes the next block.
      if (this.full) this.#underWay.giveBack()
      return
    }
    this.#writeBlock(draft, index, bytes)
  }

  #writeBlock(draft: Draft, index: number, bytes: Buffer): void {
    const { record } = this.#options
    const digest = blake3(bytes)
    if (Buffer.compare(digest, digestOf(record, index)) !== 0) {
      this.#underWay.giveBack()
      throw this.#underWay.fail(
        new Failure(
          'piece.corrupt',
          `piece ${record.number} from parent ${this.#from.parentId}: block ${index} has other bytes than its record says`,
        ),
      )
    }
    const now = performance.now()
    const costMs = now - (this.#markedAt ?? now)
    this.#markedAt = now
    const offset = record.offset + index * BLOCK_LENGTH
    const block = { index, digest, crc32: crc32(bytes), costMs, checked: true, from: this.#from }
    this.#underWay.send(draft.put(block, () => this.#task.write(bytes, offset)))
  }

  #here(): boolean {
    const { record, first, count } = this.#options
    if (this.#task.held(record.number)) return true
    for (let index = first; index < first + count; index++) if (this.#draft?.has(index) !== true) return false
    return true
  }

  /** Waits until nothing is under way, and gives everything back. */
  #close(): Promise<void> {
    this.#closed ??= this.#finish()
    return this.#closed
  }

  async #finish(): Promise<void> {
    await this.#underWay.close()
    // Somebody brought the last block: it takes no longer than the journal does.
    await this.#draft?.kept?.catch((error: unknown) => (this.#notKept = asFailure(error)))
    if (this.#draft !== undefined) this.#task.leave(this.#draft)
    this.#left()
  }

  #throwFailure(): void {
    if (this.#closed !== undefined) throw new Error('this writer has ended')
    this.#underWay.throwFailure()
  }
}

/**
 * Throws `piece.corrupt` unless the record is one of a piece of this task; RangeError when the piece does not have the
 * blocks.
 */
export function checkBlocks(
  { record, first, count }: BlockWriteOptions,
  meta: TaskMeta,
  contentLength: number | undefined,
): void {
  const { taskId, version, pieceLength } = meta
  const sameTask = record.taskId === taskId && record.version === version && record.pieceLength === pieceLength
  if (
    !sameTask ||
    !isSpan(record, contentLength) ||
    record.blocks.length !== blockCount(record.length) * DIGEST_LENGTH
  ) {
    throw new Failure(
      'piece.corrupt',
      `the record of piece ${record.number}, ${record.length} bytes, by ${record.signer} is none of this task`,
    )
  }
  const whole = Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 0 && count > 0
  if (!whole || first + count > blockCount(record.length)) {
    throw new RangeError(`piece ${record.number} has no ${count} blocks from ${first} on`)
  }
}

function isSpan(record: PieceRecord, contentLength: number | undefined): boolean {
  const { number, offset, length, pieceLength } = record
  if (!Number.isSafeInteger(number) || number < 0) return false
  const span = pieceSpan(number, pieceLength, contentLength)
  return offset === span.offset && length === span.length && length > 0
}

function digestOf({ blocks }: PieceRecord, index: number): Uint8Array {
  return blocks.subarray(index * DIGEST_LENGTH, (index + 1) * DIGEST_LENGTH)
}
