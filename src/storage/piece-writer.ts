import { crc32 } from '@node-rs/crc32'
import { blake3 } from '@napi-rs/blake-hash'
import { BLOCK_LENGTH, Failure, pieceSpan } from '#core'
import { type BufferPool, OWN_BUFFERS } from './buffers.ts'
import type { Expectation, PieceWriter, UnsignedPiece, WriteOptions } from './contract.ts'
import type { BroughtBlock, Draft } from './draft.ts'
import { joinCrc32 } from './join-crc32.ts'
import { DIGEST_LENGTH } from './journal-state.ts'
import { UnderWay } from './under-way.ts'
import { MAX_BUSY, RESUME_BUSY, type WriterTask } from './writer-task.ts'

/** Whole pieces of one writer on their way into the journal. */
const MAX_KEEPING = 8

/** The piece that is being filled. */
interface Current {
  readonly number: number
  readonly offset: number
  /** Undefined: the piece is held, its bytes are passed over. */
  readonly draft: Draft | undefined
  readonly expected: Expectation
  readonly startedAt: number
  readonly digests: Uint8Array[]
  readonly writes: Promise<void>[]
  crc32: number
  length: number
  costMs: number
  /** When the block before was whole. */
  markedAt: number
  /** Somebody else brought the whole piece meanwhile: it is only waited for. */
  kept: Promise<void> | undefined
}

export class DiskPieceWriter implements PieceWriter {
  readonly #task: WriterTask
  readonly #options: WriteOptions
  readonly #underWay: UnderWay
  readonly #left: () => void
  /** Bytes in the buffer, all of the block that begins at `#position - #filled`. */
  #filled = 0
  #position: number
  #current: Current | undefined
  /** A whole piece that is the last one if nothing follows. */
  #waiting: Current | undefined
  readonly #keeping = new Set<Promise<void>>()
  readonly #drafts = new Set<Draft>()
  #closed: Promise<void> | undefined

  /** `left` is called once nothing of this writer is under way any more. */
  constructor(task: WriterTask, options: WriteOptions, pool: BufferPool, left: () => void) {
    this.#task = task
    this.#options = options
    this.#underWay = new UnderWay(pool, OWN_BUFFERS)
    this.#left = left
    this.#position = options.first * task.pieceLength
  }

  get full(): boolean {
    return this.#position >= this.#runEnd
  }

  space(): Uint8Array {
    this.#throwFailure()
    if (this.full) return new Uint8Array(0)
    return this.#underWay.buffer().subarray(this.#filled, this.#blockLength)
  }

  filled(length: number): boolean {
    this.#throwFailure()
    if (length === 0) return this.#calm(MAX_BUSY)
    if (
      this.#underWay.filling === undefined ||
      this.#position + length > this.#runEnd ||
      this.#filled + length > this.#blockLength
    ) {
      throw this.#fail(this.#tooMuch(length))
    }
    this.#releaseWaiting()
    this.#current ??= this.#begin()
    this.#filled += length
    this.#position += length
    if (this.#filled === this.#blockLengthAt(this.#position - this.#filled)) this.#finishBlock()
    return this.#calm(MAX_BUSY)
  }

  async drained(): Promise<void> {
    while (!this.#underWay.failed && !this.#calm(RESUME_BUSY)) await this.#underWay.change()
    this.#throwFailure()
  }

  async end({ eof = false }: { eof?: boolean } = {}): Promise<void> {
    try {
      this.#throwFailure()
      if (eof) await this.#task.settleLength(this.#position)
      const { contentLength } = this.#task
      if (contentLength !== undefined && this.#position > contentLength) throw this.#fail(this.#tooMuch(0))
      if (contentLength === this.#position) this.#finishShort()
      // What a source sent last may be the end of its content, and nobody said so: then it is no piece yet.
      if (contentLength !== undefined || this.#options.from.traffic === 'peer') this.#releaseWaiting()
    } finally {
      await this.#close()
    }
    this.#underWay.throwFailure()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }

  get #runEnd(): number {
    const end = (this.#options.end ?? Number.POSITIVE_INFINITY) * this.#task.pieceLength
    return Math.min(end, this.#task.contentLength ?? Number.POSITIVE_INFINITY)
  }

  get #blockLength(): number {
    return this.#blockLengthAt(this.#position - this.#filled)
  }

  /** Length of the block that begins at `offset`. */
  #blockLengthAt(offset: number): number {
    const { pieceLength, contentLength = Number.POSITIVE_INFINITY } = this.#task
    const pieceEnd = (Math.floor(offset / pieceLength) + 1) * pieceLength
    return Math.min(BLOCK_LENGTH, pieceEnd - offset, contentLength - offset)
  }

  #begin(): Current {
    const { pieceLength } = this.#task
    const { number, offset } = pieceSpan(Math.floor(this.#position / pieceLength), pieceLength)
    const startedAt = performance.now()
    const held = this.#task.held(number)
    const draft = held ? undefined : this.#task.join(number)
    if (draft !== undefined) this.#drafts.add(draft)
    const expected = held ? {} : (this.#options.expect?.(number) ?? {})
    return {
      number,
      offset,
      draft,
      expected,
      startedAt,
      digests: [],
      writes: [],
      crc32: 0,
      length: 0,
      costMs: 0,
      markedAt: startedAt,
      kept: undefined,
    }
  }

  /** The block in the buffer is whole. */
  #finishBlock(): void {
    const piece = this.#current
    const buffer = this.#underWay.filling
    if (piece === undefined || buffer === undefined) throw new Error('no block is open')
    const bytes = buffer.subarray(0, this.#filled)
    this.#filled = 0
    piece.length += bytes.length
    piece.kept ??= piece.draft?.kept
    if (piece.draft !== undefined && piece.kept === undefined) this.#writeBlock(piece, piece.draft, bytes)
    const { pieceLength, contentLength } = this.#task
    if (piece.length === pieceLength || piece.offset + piece.length === contentLength) this.#finishPiece(piece)
  }

  #writeBlock(piece: Current, draft: Draft, bytes: Buffer): void {
    const index = piece.digests.length
    const digest = blake3(bytes)
    const wanted = piece.expected.blocks?.subarray(index * DIGEST_LENGTH, (index + 1) * DIGEST_LENGTH)
    if (wanted !== undefined && Buffer.compare(digest, wanted) !== 0) {
      this.#underWay.giveBack()
      throw this.#fail(this.#corrupt(piece, `block ${index} has other bytes than its record says`))
    }
    const block = this.#digested(piece, bytes, digest, wanted !== undefined)
    const offset = piece.offset + piece.length - bytes.length
    const written = draft.put(block, () => this.#task.write(bytes, offset))
    piece.writes.push(written)
    this.#underWay.send(written)
  }

  #digested(piece: Current, bytes: Buffer, digest: Uint8Array, checked: boolean): BroughtBlock {
    const crc = crc32(bytes)
    const now = performance.now()
    const block = {
      index: piece.digests.length,
      digest,
      crc32: crc,
      costMs: now - piece.markedAt,
      checked,
      from: this.#options.from,
    }
    piece.crc32 = joinCrc32(piece.crc32, crc, bytes.length)
    piece.markedAt = now
    piece.digests.push(digest)
    return block
  }

  #finishPiece(piece: Current): void {
    this.#current = undefined
    if (piece.draft === undefined) return
    piece.costMs = Math.round(performance.now() - piece.startedAt)
    if (piece.kept === undefined) this.#check(piece)
    if (this.#task.contentLength === undefined) this.#waiting = piece
    else this.#keep(piece)
  }

  #check(piece: Current): void {
    const { blocks, crc32 } = piece.expected
    if (blocks !== undefined && blocks.length !== piece.digests.length * DIGEST_LENGTH) {
      throw this.#fail(this.#corrupt(piece, `it has ${piece.length} bytes, its record speaks of another length`))
    }
    if (crc32 !== undefined && crc32 !== piece.crc32) {
      throw this.#fail(this.#corrupt(piece, `its CRC-32 is ${piece.crc32}, not ${crc32}`))
    }
  }

  #releaseWaiting(): void {
    const piece = this.#waiting
    this.#waiting = undefined
    if (piece !== undefined) this.#keep(piece)
  }

  #keep(piece: Current): void {
    const { draft } = piece
    if (draft === undefined) return
    const { from } = this.#options
    const sign = (unsigned: UnsignedPiece) => this.#options.sign?.(unsigned)
    const facts = {
      costMs: piece.costMs,
      traffic: from.traffic,
      parentId: from.traffic === 'peer' ? from.parentId : '',
    }
    const keeping = Promise.all(piece.writes)
      .then(() => piece.kept ?? draft.keep(piece.digests, () => this.#task.keep(this.#unsigned(piece), facts, sign)))
      .catch((error: unknown) => void this.#fail(error))
      .then(() => {
        this.#keeping.delete(keeping)
        this.#leave(draft)
        this.#underWay.stir()
      })
    this.#keeping.add(keeping)
  }

  #unsigned({ number, offset, length, crc32, digests }: Current): UnsignedPiece {
    return { number, offset, length, crc32, blocks: Buffer.concat(digests), contentLength: this.#task.contentLength }
  }

  /** The content ends at `#position`: what is in hand is the end of the last piece. */
  #finishShort(): void {
    if (this.#filled > 0) this.#finishBlock()
    else if (this.#current !== undefined) this.#finishPiece(this.#current)
  }

  /** Waits until nothing is under way, and gives everything back. */
  #close(): Promise<void> {
    this.#closed ??= this.#finish()
    return this.#closed
  }

  async #finish(): Promise<void> {
    while (this.#keeping.size > 0) await Promise.all(this.#keeping)
    await this.#underWay.close()
    for (const draft of this.#drafts) this.#leave(draft)
    this.#left()
  }

  #leave(draft: Draft): void {
    if (this.#drafts.delete(draft)) this.#task.leave(draft)
  }

  #calm(maxBusy: number): boolean {
    return this.#underWay.calm(maxBusy) && this.#keeping.size < MAX_KEEPING
  }

  #throwFailure(): void {
    if (this.#closed !== undefined) throw new Error('this writer has ended')
    this.#underWay.throwFailure()
  }

  #fail(error: unknown): unknown {
    return this.#underWay.fail(error)
  }

  #corrupt(piece: Current, why: string): Failure {
    const { from } = this.#options
    const giver = from.traffic === 'peer' ? `parent ${from.parentId}` : 'the source'
    return new Failure('piece.corrupt', `piece ${piece.number} from ${giver}: ${why}`)
  }

  #tooMuch(length: number): Error {
    const { contentLength } = this.#task
    if (contentLength === undefined || this.#position + length <= contentLength) {
      return new Error(`${length} bytes were filled into less space`)
    }
    return new Failure('source.broken', `more bytes came than the ${contentLength} that the content has`)
  }
}
