import { rmdirSync } from 'node:fs'
import { rm, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { blockCount, BlockSet, Failure, messageOf, pieceCount, type PieceRecord, type Signer } from '#core'
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
import { Draft } from './draft.ts'
import { contentPath, IntactContent } from './intact-content.ts'
import { Ledger } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'
import { type OutputWay, writeOutput } from './output.ts'
import { DiskPieceWriter, type WriterTask } from './piece-writer.ts'

/** How much of a task's last use may be forgotten when the process is killed. */
const TOUCH_MS = 60_000

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
  readonly #listeners = new Set<(piece: HeldPiece) => void>()
  readonly #drafts = new Map<number, Draft>()
  /** Pieces of which a writer's bytes were not written because they are held. */
  readonly #spared = new Set<number>()
  readonly #content: IntactContent
  #uses = 0
  #lastUsedMs: number
  #savedUseMs: number
  #whenUnused: (() => void) | undefined
  #removed: Promise<void> | undefined

  constructor(options: DiskTaskOptions) {
    const { dir, files, meta, boot, estimatedBytes, warn, lastUsedMs } = options
    this.#options = options
    this.meta = meta
    const journal = files.file(journalPath(dir))
    this.#ledger = new Ledger({ meta, journal, contentPath: contentPath(dir), boot, estimatedBytes, warn })
    this.#content = new IntactContent(dir, files, this.#ledger, (piece) => this.#tell(piece))
    this.#lastUsedMs = lastUsedMs
    this.#savedUseMs = lastUsedMs
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
    return this.#ledger.storedBytes
  }

  get inUse(): boolean {
    return this.#uses > 0
  }

  get lastUsedMs(): number {
    return this.#lastUsedMs
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
    if (piece?.signature === undefined) return undefined
    const { taskId, version, pieceLength } = this.meta
    const { offset, length, blocks } = piece
    return { taskId, version, pieceLength, number, offset, length, blocks, ...piece.signature }
  }

  setContentLength(length: number): Promise<void> {
    return this.#ledger.settleLength(length)
  }

  onPiece(listener: (piece: HeldPiece) => void): () => void {
    const own = (piece: HeldPiece): void => listener(piece)
    this.#listeners.add(own)
    return () => void this.#listeners.delete(own)
  }

  blocks(number: number): BlockSet | undefined {
    const piece = this.piece(number)
    return piece && BlockSet.full(blockCount(piece.length))
  }

  onBlocks(_listener: (number: number) => void): () => void {
    return () => undefined // no block is told yet: writeBlocks is on its way
  }

  writeBlocks(_options: BlockWriteOptions): BlockWriter {
    throw new Error('writing blocks is on its way')
  }

  hold(): Disposable {
    return this.#use()
  }

  write(options: WriteOptions): PieceWriter {
    const use = this.#use()
    return new DiskPieceWriter(this.#writerTask(), options, this.#options.pool.join(), () => use[Symbol.dispose]())
  }

  async read(offset: number, target: Uint8Array): Promise<number> {
    using _use = this.#use()
    await this.#content.settled()
    const length = this.#heldRun(offset, target.length)
    if (length === 0 && offset !== this.contentLength && target.length > 0) throw this.#missing(offset)
    const read = await this.#content.read(target.subarray(0, length), offset)
    if (read === length) return read
    await this.#content.verify()
    throw this.#missing(offset)
  }

  async export(
    path: string,
    { start = 0, end, atOffset = false }: { start?: number; end?: number; atOffset?: boolean } = {},
  ): Promise<{ bytes: number; by: OutputWay }> {
    using _use = this.#use()
    await this.#content.settled()
    const { contentLength } = this
    const behind = end === undefined ? (contentLength ?? Number.POSITIVE_INFINITY) : end + 1
    const whole = start === 0 && behind === contentLength && !atOffset
    if (this.#heldRun(start, behind - start) < behind - start) throw this.#missing(start)
    const content = this.#content.forOutput(behind, (offset, target) => this.read(offset, target))
    const made = await writeOutput(path, { start, length: behind - start, atOffset, whole }, content)
    if (this.#content.changed)
      throw new Failure('piece.missing', `${this.#content.path} was changed while it was copied`)
    return made
  }

  /** Waits until all that is listed was checked, where there is doubt. */
  async ready(): Promise<void> {
    using _use = this.#use()
    await this.#content.settled()
  }

  /** Checks every piece against its digests. Resolves to how many were not right. */
  async verify(): Promise<number> {
    using _use = this.#use()
    return await this.#content.verify()
  }

  /** Removes the task from disk as soon as nobody uses it. */
  remove(): Promise<void> {
    this.#removed ??= this.#remove()
    return this.#removed
  }

  /** Closes its files once what is under way has ended. */
  async close(): Promise<void> {
    await this.#saveUse()
    await Promise.all([this.#ledger.close(), this.#content.close()])
  }

  async #remove(): Promise<void> {
    if (this.#uses > 0) await new Promise<void>((resolve) => (this.#whenUnused = resolve))
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

  #use(): Disposable {
    this.#uses++
    this.#touch()
    let used = true
    return {
      [Symbol.dispose]: () => {
        if (!used) return
        used = false
        this.#touch()
        if (--this.#uses === 0) this.#whenUnused?.()
      },
    }
  }

  #touch(): void {
    this.#lastUsedMs = Date.now()
    if (this.#lastUsedMs - this.#savedUseMs > TOUCH_MS && this.#removed === undefined) void this.#saveUse()
  }

  /** The journal's file time tells the next process when the task was used. */
  async #saveUse(): Promise<void> {
    if (this.#lastUsedMs === this.#savedUseMs || this.#removed !== undefined) return
    this.#savedUseMs = this.#lastUsedMs
    const seconds = this.#lastUsedMs / 1000
    await utimes(journalPath(this.#options.dir), seconds, seconds).catch(() => undefined) // only the order of eviction suffers
  }

  #writerTask(): WriterTask {
    const ledger = this.#ledger
    return {
      pieceLength: this.meta.pieceLength,
      get contentLength() {
        return ledger.contentLength
      },
      settleLength: (length) => ledger.settleLength(length),
      held: (number) => ledger.piece(number) !== undefined,
      join: (number) => this.#join(number),
      leave: (draft) => this.#leave(draft),
      write: (bytes, offset) => this.#write(bytes, offset),
      keep: (piece, facts, sign) => this.#keep(piece, facts, sign),
    }
  }

  #join(number: number): Draft {
    const draft = this.#drafts.get(number) ?? new Draft(number)
    this.#drafts.set(number, draft)
    draft.writers++
    return draft
  }

  #leave(draft: Draft): void {
    if (--draft.writers > 0) return
    this.#drafts.delete(draft.number)
    this.#spared.delete(draft.number)
  }

  async #write(bytes: Uint8Array, offset: number): Promise<void> {
    if (this.#content.unsettled) await this.#content.settled()
    const number = Math.floor(offset / this.meta.pieceLength)
    // A piece that was in doubt and turned out to be right needs nobody's bytes.
    if (this.piece(number) === undefined) await this.#content.write(bytes, offset)
    else this.#spared.add(number)
  }

  async #keep(
    piece: UnsignedPiece,
    facts: Pick<HeldPiece, 'costMs' | 'parentId' | 'traffic'>,
    sign: WriteOptions['sign'],
  ): Promise<void> {
    if (this.piece(piece.number) !== undefined) return
    if (this.#spared.has(piece.number)) throw this.#missing(piece.offset) // it was held, and dropped again: start anew
    const { number, offset, length, crc32, blocks } = piece
    const signature = sign?.(piece)
    const held = { number, offset, length, crc32, blocks, signature, ...facts, createdAt: Date.now() }
    await this.#ledger.hold(held)
    this.#tell(held)
  }

  #tell(piece: HeldPiece): void {
    for (const listener of this.#listeners) {
      try {
        listener(piece)
      } catch (error) {
        this.#options.warn(
          `a listener failed on piece ${piece.number} of task ${this.meta.taskId}: ${messageOf(error)}`,
        )
      }
    }
  }

  /** How many bytes from `offset` on are held, up to `wanted`. */
  #heldRun(offset: number, wanted: number): number {
    const { pieceLength } = this.meta
    let end = offset
    while (end < offset + wanted) {
      const piece = this.piece(Math.floor(end / pieceLength))
      if (piece === undefined) break
      const pieceEnd = piece.offset + piece.length
      if (pieceEnd <= end) break
      end = pieceEnd
    }
    return Math.min(end - offset, wanted)
  }

  #missing(offset: number): Failure {
    return new Failure('piece.missing', `byte ${offset} of task ${this.meta.taskId} is not held here`)
  }
}
