import { rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { blockCount, BlockSet, Failure, messageOf, pieceCount, type PieceRecord, type Signer } from '#core'
import { checkBlocks, DiskBlockWriter } from './block-writer.ts'
import type { BufferPool } from './buffers.ts'
import type {
  BlockWriteOptions,
  BlockWriter,
  HeldPiece,
  PieceWriter,
  StoredTask,
  TaskMeta,
  UnsignedPiece,
  WriteOptions,
  Validators,
} from './contract.ts'
import { onDisk } from './disk-failure.ts'
import type { DraftTask, PieceFacts } from './draft.ts'
import { Drafts } from './drafts.ts'
import { contentPath, IntactContent } from './intact-content.ts'
import { Ledger } from './ledger.ts'
import { Listeners } from './listeners.ts'
import type { OpenFiles } from './open-files.ts'
import { type OutputWay, writeOutput } from './output.ts'
import { DiskPieceWriter } from './piece-writer.ts'
import { Uses } from './uses.ts'
import type { WriterTask } from './writer-task.ts'

export interface DiskTaskOptions {
  readonly meta: TaskMeta
  /** Holds `journal` (its first line is written) and `content`. */
  readonly dir: string
  readonly files: OpenFiles
  readonly pool: BufferPool
  readonly boot: string
  readonly estimatedBytes: number
  readonly lastUsedMs: number
  readonly warn: (message: string) => void
}

export function journalPath(dir: string): string {
  return join(dir, 'journal')
}

/** A task in a directory of its own. */
export class DiskTask implements StoredTask {
  readonly meta: TaskMeta
  readonly #options: DiskTaskOptions
  readonly #ledger: Ledger
  readonly #pieceListeners: Listeners<HeldPiece>
  readonly #blockListeners: Listeners<number>
  readonly #drafts: Drafts
  readonly #content: IntactContent
  readonly #uses: Uses
  #removed: Promise<void> | undefined

  constructor(options: DiskTaskOptions) {
    const { dir, files, meta, boot, estimatedBytes, warn, lastUsedMs } = options
    this.#options = options
    this.meta = meta
    const journal = files.file(journalPath(dir))
    this.#ledger = new Ledger({ meta, journal, contentPath: contentPath(dir), boot, estimatedBytes, warn })
    this.#content = new IntactContent(dir, files, this.#ledger, (piece) => this.#tell(piece))
    this.#pieceListeners = new Listeners(warn)
    this.#blockListeners = new Listeners(warn)
    this.#drafts = new Drafts(meta.pieceLength, this.#draftTask())
    this.#uses = new Uses(journalPath(dir), lastUsedMs)
  }

  get contentLength(): number | undefined {
    return this.#ledger.contentLength
  }

  get pieceCount(): number | undefined {
    const { contentLength } = this
    return contentLength === undefined ? undefined : pieceCount(contentLength, this.meta.pieceLength)
  }

  get complete(): boolean {
    return this.#ledger.heldCount === this.pieceCount
  }

  get heldBytes(): number {
    return this.#ledger.heldBytes
  }

  get storedBytes(): number {
    return this.#ledger.storedBytes + this.#drafts.bytes
  }

  get inUse(): boolean {
    return this.#uses.any
  }

  get lastUsedMs(): number {
    return this.#uses.lastMs
  }

  get signers(): readonly Signer[] {
    return this.#ledger.signers
  }

  set signers(signers: readonly Signer[]) {
    this.#ledger.setSigners(signers).catch((error: unknown) => this.#options.warn(messageOf(error)))
  }

  get validators(): Validators {
    return this.#ledger.validators
  }

  set validators(validators: Validators) {
    this.#ledger.setValidators(validators).catch((error: unknown) => this.#options.warn(messageOf(error)))
  }

  piece(number: number): HeldPiece | undefined {
    return this.#ledger.piece(number)
  }

  pieces(): HeldPiece[] {
    return this.#ledger.pieces()
  }

  record(number: number): PieceRecord | undefined {
    const piece = this.piece(number)
    if (piece === undefined) return this.#drafts.readable(number)?.record
    if (piece.signature === undefined) return undefined
    const { taskId, version, pieceLength } = this.meta
    const { offset, length, blocks } = piece
    return { taskId, version, pieceLength, number, offset, length, blocks, ...piece.signature }
  }

  setContentLength(length: number): Promise<void> {
    const settling = this.#ledger.settleLength(length)
    const { contentLength } = this
    // At once: nothing is to be held by a record that says something else.
    if (contentLength !== undefined) this.#drafts.checkLengths(contentLength)
    return settling
  }

  onPiece(listener: (piece: HeldPiece) => void): () => void {
    return this.#pieceListeners.add(listener)
  }

  onBlocks(listener: (number: number) => void): () => void {
    return this.#blockListeners.add(listener)
  }

  blocks(number: number): BlockSet | undefined {
    const piece = this.piece(number)
    if (piece !== undefined) return BlockSet.full(blockCount(piece.length))
    return this.#drafts.readable(number)?.blocks()
  }

  hold(): Disposable {
    return this.#uses.begin()
  }

  write(options: WriteOptions): PieceWriter {
    const use = this.#uses.begin()
    return new DiskPieceWriter(this.#writerTask(), options, this.#options.pool, () => use[Symbol.dispose]())
  }

  writeBlocks(options: BlockWriteOptions): BlockWriter {
    checkBlocks(options, this.meta, this.contentLength)
    const { number } = options.record
    const draft = this.piece(number) === undefined ? this.#drafts.join(number, options.record) : undefined
    const use = this.#uses.begin()
    return new DiskBlockWriter(this.#writerTask(), draft, options, this.#options.pool, () => use[Symbol.dispose]())
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    using _use = this.#uses.begin()
    await this.#content.settled()
    for (;;) {
      const { forgotten } = this.#drafts
      const length = this.#runFrom(offset, target.length, true)
      if (length === 0 && offset !== this.contentLength && target.length > 0) throw this.#missing(offset)
      const read = await this.#content.read(target.subarray(0, length), offset)
      // Blocks that were forgotten may have been overwritten under the read: what is here is looked up again.
      if (forgotten !== this.#drafts.forgotten) continue
      if (read === length) return read
      await this.verify()
      throw this.#missing(offset)
    }
  }

  async export(
    path: string,
    { start = 0, end, atOffset = false }: { start?: number; end?: number; atOffset?: boolean } = {},
  ): Promise<{ bytes: number; by: OutputWay }> {
    using _use = this.#uses.begin()
    await this.#content.settled()
    const { contentLength } = this
    const behind = end === undefined ? (contentLength ?? Number.POSITIVE_INFINITY) : end + 1
    const whole = start === 0 && behind === contentLength && !atOffset
    if (this.#runFrom(start, behind - start, false) < behind - start) throw this.#missing(start)
    const content = this.#content.forOutput(behind, (offset, target) => this.read(offset, target))
    const made = await writeOutput(path, { start, length: behind - start, atOffset, whole }, content)
    if (this.#content.changed)
      throw new Failure('piece.missing', `${this.#content.path} was changed while it was copied`)
    return made
  }

  /** Waits until all that is listed was checked, where there is doubt. */
  async ready(): Promise<void> {
    using _use = this.#uses.begin()
    await this.#content.settled()
  }

  /** Checks every piece against its digests. Resolves to how many were not right. Blocks of other pieces are forgotten. */
  async verify(): Promise<number> {
    using _use = this.#uses.begin()
    this.#drafts.doubt()
    return await this.#content.verify()
  }

  /** Removes the task from disk as soon as nobody uses it. */
  remove(): Promise<void> {
    this.#removed ??= this.#remove()
    return this.#removed
  }

  /** Closes its files once what is under way has ended. */
  async close(): Promise<void> {
    await this.#uses.save()
    await Promise.all([this.#ledger.close(), this.#content.close()])
  }

  async #remove(): Promise<void> {
    await this.#uses.end()
    const { dir } = this.#options
    await Promise.all([this.#ledger.close(), this.#content.close()])
    await onDisk(dir, 'remove', async () => {
      // Without its journal the rest is a leftover, should the machine stop right now.
      await rm(journalPath(dir), { force: true })
      await rm(dir, { recursive: true, force: true })
    })
    try {
      rmdirSync(dirname(dir))
    } catch {
      // Another version of the task is in there.
    }
  }

  #draftTask(): Omit<DraftTask, 'forgot'> {
    const ledger = this.#ledger
    return {
      get contentLength() {
        return ledger.contentLength
      },
      held: (number) => ledger.piece(number) !== undefined,
      keep: (piece, facts, sign) => this.#keep(piece, facts, sign),
      tellBlock: (number) => this.#blockListeners.tell(number, () => `a block of piece ${number} of ${this.#name}`),
    }
  }

  #writerTask(): WriterTask {
    const ledger = this.#ledger
    return {
      pieceLength: this.meta.pieceLength,
      get contentLength() {
        return ledger.contentLength
      },
      settleLength: (length) => this.setContentLength(length),
      held: (number) => ledger.piece(number) !== undefined,
      join: (number) => this.#drafts.join(number),
      leave: (draft) => this.#drafts.leave(draft),
      write: (bytes, offset) => this.#write(bytes, offset),
      keep: (piece, facts, sign) => this.#keep(piece, facts, sign),
    }
  }

  async #write(bytes: Uint8Array, offset: number): Promise<boolean> {
    if (this.#content.unsettled) await this.#content.settled()
    // A piece that was in doubt and turned out to be right needs nobody's bytes.
    if (this.piece(Math.floor(offset / this.meta.pieceLength)) !== undefined) return false
    await this.#content.write(bytes, offset)
    return true
  }

  async #keep(piece: UnsignedPiece, facts: PieceFacts, sign: WriteOptions['sign']): Promise<void> {
    const { number, offset, length, crc32, blocks } = piece
    if (this.piece(number) !== undefined) return
    const signature = sign?.(piece)
    const { brought, ...kept } = facts
    const held = { number, offset, length, crc32, blocks, signature, ...kept, createdAt: Date.now() }
    await this.#ledger.hold(held)
    this.#tell({ ...held, brought })
  }

  /** The piece is held from now on. */
  #tell(piece: HeldPiece): void {
    this.#drafts.done(piece.number)
    this.#pieceListeners.tell(piece, () => `piece ${piece.number} of ${this.#name}`)
  }

  get #name(): string {
    return `task ${this.meta.taskId}`
  }

  /** How many bytes from `offset` on are here, up to `wanted`: held, or also in readable blocks. */
  #runFrom(offset: number, wanted: number, withBlocks: boolean): number {
    const { pieceLength } = this.meta
    let end = offset
    while (end < offset + wanted) {
      const piece = this.piece(Math.floor(end / pieceLength))
      const next = piece !== undefined ? piece.offset + piece.length : withBlocks ? this.#drafts.endOfBlock(end) : end
      if (next <= end) break
      end = next
    }
    return Math.min(end - offset, wanted)
  }

  #missing(offset: number): Failure {
    return new Failure('piece.missing', `byte ${offset} of task ${this.meta.taskId} is not held here`)
  }
}
