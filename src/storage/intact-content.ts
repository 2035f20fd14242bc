import { renameSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isIntact } from './check-pieces.ts'
import { ContentFile } from './content-file.ts'
import type { HeldPiece } from './contract.ts'
import { diskFailure } from './disk-failure.ts'
import type { Ledger } from './ledger.ts'
import type { OpenFiles } from './open-files.ts'
import type { OutputContent } from './output.ts'

/**
 * A task's content with an eye on whether it is still what the ledger says: after a crash of the machine, or when an
 * output shares the file and somebody wrote into it, pieces are checked before they count again.
 */
export class IntactContent {
  readonly #dir: string
  readonly #files: OpenFiles
  readonly #ledger: Ledger
  readonly #tell: (piece: HeldPiece) => void
  #file: ContentFile
  #mending: Promise<number> | undefined

  /** `tell` hears of pieces that were in doubt and count again. */
  constructor(dir: string, files: OpenFiles, ledger: Ledger, tell: (piece: HeldPiece) => void) {
    this.#dir = dir
    this.#files = files
    this.#ledger = ledger
    this.#tell = tell
    this.#file = new ContentFile(files.file(contentPath(dir)))
  }

  get path(): string {
    return this.#file.path
  }

  /** There is doubt, or it is being looked into. */
  get unsettled(): boolean {
    return this.#mending !== undefined || this.#ledger.suspicious || this.changed
  }

  /** Somebody wrote into the content through an output that shares it, or is now able to do so unseen. */
  get changed(): boolean {
    const { shared } = this.#ledger
    if (shared === undefined) return false
    const { size, mtimeNs, uid, mode } = this.#file.stat()
    const foreign = Number(uid) !== process.geteuid?.() || (Number(mode) & 0o022) !== 0
    return foreign || Number(size) !== shared.size || mtimeNs !== shared.mtimeNs
  }

  /** Resolves once every piece that is listed was checked, where there was doubt. */
  async settled(): Promise<void> {
    while (this.unsettled) await (this.#mending ?? this.#start(this.changed ? this.#all() : this.#ledger.suspects()))
  }

  /** Checks every piece. Resolves to how many were dropped. */
  async verify(): Promise<number> {
    while (this.#mending !== undefined) await this.#mending
    return this.#start(this.#all())
  }

  write(bytes: Uint8Array, offset: number): Promise<void> {
    return this.#file.write(bytes, offset)
  }

  read(target: Uint8Array, offset: number): Promise<number> {
    return this.#file.read(target, offset)
  }

  /** The content of a task of `length` bytes, for an output; `read` as the task reads. */
  forOutput(length: number, read: OutputContent['read']): OutputContent {
    const trim = (): Promise<void> => this.#trim(length)
    return { path: this.path, read, trim, stat: () => this.#file.stat(), share: (mode) => this.#share(mode) }
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  #all(): HeldPiece[] {
    return [...this.#ledger.pieces(), ...this.#ledger.suspects()]
  }

  #start(pieces: readonly HeldPiece[]): Promise<number> {
    this.#mending = this.#mend(pieces).finally(() => (this.#mending = undefined))
    return this.#mending
  }

  async #mend(pieces: readonly HeldPiece[]): Promise<number> {
    if (this.changed) return this.#unshare(pieces)
    const damaged: HeldPiece[] = []
    for (const piece of pieces) {
      if (!(await isIntact(this.#file, piece))) damaged.push(piece)
      else if (this.#ledger.confirm(piece)) this.#tell(piece)
    }
    // Never write into what has become somebody's output, not even to mend it.
    if (damaged.length > 0 && this.#ledger.shared !== undefined) return this.#unshare(this.#all())
    const dropped = await this.#ledger.drop(damaged)
    await this.#ledger.checked()
    return dropped
  }

  /**
   * Leaves the file to the output that shares it, and goes on with a copy of the pieces that are still right. Each
   * block is written as it was checked: a change meanwhile cannot slip in.
   */
  async #unshare(pieces: readonly HeldPiece[]): Promise<number> {
    const path = join(this.#dir, 'content.new')
    await rm(path, { force: true })
    const fresh = new ContentFile(this.#files.file(path))
    const [good, damaged] = await this.#copyIntact(pieces, fresh).catch(async (error: unknown) => {
      await fresh.close()
      await rm(path, { force: true })
      throw error
    })
    // In this order: whatever the last step before a crash was, the next reader finds the file changed, and starts anew.
    const dropped = await this.#ledger.drop(damaged)
    await this.#replaceBy(fresh)
    await this.#ledger.unshare()
    for (const piece of good) if (this.#ledger.confirm(piece)) this.#tell(piece)
    await this.#ledger.checked()
    return dropped
  }

  async #copyIntact(pieces: readonly HeldPiece[], to: ContentFile): Promise<[good: HeldPiece[], damaged: HeldPiece[]]> {
    const good: HeldPiece[] = []
    const damaged: HeldPiece[] = []
    to.stat() // makes the file, also where nothing is right any more
    for (const piece of pieces) {
      const intact = await isIntact(this.#file, piece, (bytes, offset) => to.write(bytes, offset))
      if (intact) good.push(piece)
      else damaged.push(piece)
    }
    return [good, damaged]
  }

  async #replaceBy(fresh: ContentFile): Promise<void> {
    const old = this.#file
    await fresh.close()
    try {
      renameSync(fresh.path, old.path)
    } catch (error) {
      throw diskFailure(error, old.path, 'replace')
    }
    this.#file = new ContentFile(this.#files.file(old.path))
    void old.close() // once its last reader is done
  }

  async #share(mode: number): Promise<boolean> {
    const { nlink, uid } = this.#file.stat()
    // With a third name one output would change when the other one is edited.
    if ((mode & 0o022) !== 0 || nlink !== 1n || Number(uid) !== process.geteuid?.()) return false
    await this.#ledger.share(await this.#file.settle(mode))
    return true
  }

  /** A source that ended early and came back shorter may have left bytes behind the end. */
  async #trim(length: number): Promise<void> {
    if (this.#ledger.shared === undefined && Number(this.#file.stat().size) !== length)
      await this.#file.truncate(length)
  }
}

export function contentPath(dir: string): string {
  return join(dir, 'content')
}
