import { BLOCK_LENGTH, blockCount, BlockSet, type PieceRecord } from '#core'
import type { WriteOptions } from './contract.ts'
import { joinCrc32 } from './join-crc32.ts'
import { DIGEST_LENGTH } from './journal-state.ts'

/** A block that is on disk. */
export interface WrittenBlock {
  readonly index: number
  /** BLAKE3. */
  readonly digest: Uint8Array
  readonly crc32: number
  readonly costMs: number
  /** Who brought it. */
  readonly from: WriteOptions['from']
}

/** The blocks of a piece that are on disk and are what its record says: 4 bytes for each, beside the record. */
export class CheckedBlocks {
  readonly record: PieceRecord
  readonly #here: BlockSet
  readonly #digests: Buffer
  readonly #crcs: Uint32Array
  /** Bytes by peer id; those of the source under none. */
  readonly #brought = new Map<string, number>()
  #costMs = 0

  constructor(record: PieceRecord) {
    // Copies: what came over the wire may lie in the middle of a message that is not to be kept with it.
    this.#digests = Buffer.from(record.blocks)
    this.record = { ...record, blocks: this.#digests, signature: Buffer.from(record.signature) }
    const count = blockCount(record.length)
    this.#here = BlockSet.of(count)
    this.#crcs = new Uint32Array(count)
  }

  get size(): number {
    return this.#here.size
  }

  get bytes(): number {
    const { record } = this
    const last = this.#here.count - 1
    return this.size * BLOCK_LENGTH - (this.has(last) ? (last + 1) * BLOCK_LENGTH - record.length : 0)
  }

  has(index: number): boolean {
    return this.#here.has(index)
  }

  blocks(): BlockSet {
    return this.#here.copy()
  }

  /** The block is what the record says. */
  isRight(index: number, digest: Uint8Array): boolean {
    const start = index * DIGEST_LENGTH
    return this.#digests.compare(digest, 0, DIGEST_LENGTH, start, start + DIGEST_LENGTH) === 0
  }

  /** Another signer may say the same. */
  says(record: PieceRecord): boolean {
    return Buffer.compare(this.#digests, record.blocks) === 0
  }

  add(block: WrittenBlock): void {
    const { index, crc32, costMs } = block
    this.#here.add(index)
    this.#crcs[index] = crc32
    this.#costMs += costMs
    this.#count(block, this.#brought)
  }

  /** With one more block nothing is missing. */
  get lacksOne(): boolean {
    return this.#here.size === this.#here.count - 1
  }

  /** What is to be said of the whole piece, with its last block. */
  wholeWith(last: WrittenBlock): { crc32: number; costMs: number; brought: ReadonlyMap<string, number> } {
    this.#crcs[last.index] = last.crc32
    let joined = 0
    for (const [at, crc] of this.#crcs.entries()) joined = joinCrc32(joined, crc, this.#lengthOf(at))
    const brought = new Map(this.#brought)
    this.#count(last, brought)
    return { crc32: joined, costMs: Math.round(this.#costMs + last.costMs), brought }
  }

  #count({ index, from }: WrittenBlock, brought: Map<string, number>): void {
    const parentId = from.traffic === 'peer' ? from.parentId : ''
    brought.set(parentId, (brought.get(parentId) ?? 0) + this.#lengthOf(index))
  }

  #lengthOf(index: number): number {
    return Math.min(BLOCK_LENGTH, this.record.length - index * BLOCK_LENGTH)
  }
}
