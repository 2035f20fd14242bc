import { readFileSync, statSync } from 'node:fs'
import { Failure, messageOf, type Signer } from '#core'
import type { HeldPiece, TaskMeta, Validators } from './contract.ts'
import { errnoOf } from './disk-failure.ts'
import { Journal } from './journal.ts'
import { type ContentFacts, type Entry, encodeLine } from './journal-format.ts'
import { firstState, type JournalState, replay } from './journal-state.ts'
import type { OpenFile } from './open-files.ts'

export interface LedgerOptions {
  readonly meta: TaskMeta
  readonly journal: OpenFile
  readonly contentPath: string
  /** Names the time since the machine started; empty where that is not known. */
  readonly boot: string
  /** Bytes held, as far as can be told without reading the journal. */
  readonly estimatedBytes: number
  readonly warn: (message: string) => void
}

interface Loaded {
  readonly state: JournalState
  readonly journal: Journal
  /** Listed in the journal, but their bytes may be lost or wrong: they count only once they were checked. */
  readonly suspects: Map<number, HeldPiece>
}

/** What is known of a task, in memory and in its journal. Read from disk when it is first asked. */
export class Ledger {
  readonly #options: LedgerOptions
  #loaded: Loaded | undefined
  #heldBytes = 0

  constructor(options: LedgerOptions) {
    this.#options = options
  }

  get contentLength(): number | undefined {
    return this.#load().state.contentLength
  }

  get signers(): readonly Signer[] {
    return this.#load().state.signers
  }

  get shared(): ContentFacts | undefined {
    return this.#load().state.shared
  }

  get heldCount(): number {
    return this.#load().state.pieces.size
  }

  get heldBytes(): number {
    this.#load()
    return this.#heldBytes
  }

  /** Bytes that go when the task goes: also those under suspicion, and estimated while nobody asked for more. */
  get storedBytes(): number {
    if (this.#loaded === undefined) return this.#options.estimatedBytes
    return this.#heldBytes + total(this.#loaded.suspects)
  }

  piece(number: number): HeldPiece | undefined {
    return this.#load().state.pieces.get(number)
  }

  pieces(): HeldPiece[] {
    return ascending(this.#load().state.pieces)
  }

  suspects(): HeldPiece[] {
    return ascending(this.#load().suspects)
  }

  get suspicious(): boolean {
    return this.#load().suspects.size > 0
  }

  /** Fails with `source.broken` when it contradicts what is known. */
  async settleLength(contentLength: number): Promise<void> {
    const { state, journal, suspects } = this.#load()
    if (state.contentLength === contentLength) return
    const end = Math.max(lastByte(state.pieces), lastByte(suspects))
    const known = state.contentLength === undefined ? `at least ${end}` : `${state.contentLength}`
    if (state.contentLength !== undefined || contentLength < end || !Number.isSafeInteger(contentLength)) {
      throw new Failure(
        'source.broken',
        `the length of ${this.#options.meta.url} is ${known} bytes, and now ${contentLength}`,
      )
    }
    state.contentLength = contentLength
    await journal.append({ kind: 'length', contentLength })
  }

  async hold(piece: HeldPiece): Promise<void> {
    const { state, journal, suspects } = this.#load()
    // The length stands in the line as well: a short last piece makes no sense without it.
    await journal.append({ kind: 'piece', piece, contentLength: state.contentLength })
    suspects.delete(piece.number)
    state.pieces.set(piece.number, piece)
    this.#heldBytes += piece.length
  }

  /** A suspect was checked and counts again. False when it is none any more. */
  confirm(piece: HeldPiece): boolean {
    const { state, suspects } = this.#load()
    if (suspects.get(piece.number) !== piece) return false
    suspects.delete(piece.number)
    state.pieces.set(piece.number, piece)
    this.#heldBytes += piece.length
    return true
  }

  /** Takes pieces off the list, unless they were written anew meanwhile. Resolves to how many. */
  async drop(pieces: readonly HeldPiece[]): Promise<number> {
    const { state, suspects, journal } = this.#load()
    const gone = pieces.filter(
      (piece) => state.pieces.get(piece.number) === piece || suspects.get(piece.number) === piece,
    )
    if (gone.length === 0) return 0
    for (const { number, length } of gone) {
      if (state.pieces.delete(number)) this.#heldBytes -= length
      suspects.delete(number)
    }
    await journal.append({ kind: 'dropped', numbers: gone.map((piece) => piece.number) })
    return gone.length
  }

  /** All that is listed was checked in this run of the machine. */
  async checked(): Promise<void> {
    const { state, journal } = this.#load()
    state.boot = this.#options.boot
    await journal.append({ kind: 'checked', boot: state.boot })
  }

  async share(facts: ContentFacts): Promise<void> {
    const { state, journal } = this.#load()
    await journal.append({ kind: 'shared', facts })
    state.shared = facts
  }

  async unshare(): Promise<void> {
    const { state, journal } = this.#load()
    state.shared = undefined
    await journal.append({ kind: 'unshared' })
  }

  async setSigners(signers: readonly Signer[]): Promise<void> {
    const { state, journal } = this.#load()
    if (sameEntry({ kind: 'signers', signers }, { kind: 'signers', signers: state.signers })) return
    state.signers = signers
    await journal.append({ kind: 'signers', signers })
  }

  get validators(): Validators {
    return this.#load().state.validators
  }

  async setValidators(validators: Validators): Promise<void> {
    const { state, journal } = this.#load()
    const { etag, lastModified } = state.validators
    if (validators.etag === etag && validators.lastModified === lastModified) return
    state.validators = validators
    await journal.append({ kind: 'validators', validators })
  }

  async close(): Promise<void> {
    await (this.#loaded?.journal ?? this.#options.journal).close()
  }

  #load(): Loaded {
    this.#loaded ??= this.#read()
    return this.#loaded
  }

  #read(): Loaded {
    const { boot, journal: file, contentPath } = this.#options
    const { state, trustedBytes, mend } = this.#replay()
    const journal = new Journal(file, trustedBytes)
    const doubt = mend ?? (contentEnd(contentPath) < lastByte(state.pieces) ? DOUBT : undefined)
    if (doubt !== undefined) journal.cutSync(doubt)
    const suspicious = doubt !== undefined || state.boot === '' || state.boot !== boot
    const suspects = new Map(suspicious ? state.pieces : [])
    if (suspicious) state.pieces.clear()
    this.#heldBytes = total(state.pieces)
    return { state, journal, suspects }
  }

  /** With the line that has to stand behind the trusted ones before anything else does. */
  #replay(): { state: JournalState; trustedBytes: number; mend: Entry | undefined } {
    const { meta, journal, warn } = this.#options
    try {
      const found = replay(readFileSync(journal.path))
      if (found !== undefined) return { ...found, mend: found.cut ? DOUBT : undefined }
      warn(`${journal.path} is damaged: its pieces are fetched again`)
    } catch (error) {
      warn(`${journal.path} cannot be read: ${messageOf(error)}`)
    }
    const first: Entry = { kind: 'task', boot: '', meta }
    const state = firstState(first)
    if (state === undefined) throw new Error(`task ${meta.taskId} cannot be stored`)
    return { state, trustedBytes: 0, mend: first }
  }
}

/** Lines that were lost may have told that a piece is bad: whoever reads the journal has to check all of them first. */
const DOUBT: Entry = { kind: 'checked', boot: '' }

function contentEnd(path: string): number {
  try {
    return statSync(path).size
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 0
    return -1
  }
}

function lastByte(pieces: ReadonlyMap<number, HeldPiece>): number {
  let last = 0
  for (const { offset, length } of pieces.values()) last = Math.max(last, offset + length)
  return last
}

function total(pieces: ReadonlyMap<number, HeldPiece>): number {
  let bytes = 0
  for (const { length } of pieces.values()) bytes += length
  return bytes
}

function ascending(pieces: ReadonlyMap<number, HeldPiece>): HeldPiece[] {
  return [...pieces.values()].sort((a, b) => a.number - b.number)
}

function sameEntry(a: Entry, b: Entry): boolean {
  return encodeLine(a) === encodeLine(b)
}
