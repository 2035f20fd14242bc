import { BLOCK_LENGTH, blockCount, isTaskId, MAX_PIECE_LENGTH, pieceSpan, type Signer } from '#core'
import type { HeldPiece, TaskMeta, Validators } from './contract.ts'
import { type ContentFacts, decodeLine, type Entry } from './journal-format.ts'

export const DIGEST_LENGTH = 32
const LINE_FEED = 0x0a

/** What a journal says once all its lines were read. */
export interface JournalState {
  readonly meta: TaskMeta
  /** The boot of the machine in which the content was last written or checked as a whole. */
  boot: string
  contentLength: number | undefined
  readonly pieces: Map<number, HeldPiece>
  signers: readonly Signer[]
  validators: Validators
  /** Set while an output shares the content file. */
  shared: ContentFacts | undefined
}

export interface Replay {
  readonly state: JournalState
  /** Bytes up to the first wrong line. */
  readonly trustedBytes: number
  /** Something stood behind the trusted bytes: lines are lost, and with them perhaps that a piece was dropped. */
  readonly cut: boolean
}

/** Reads a journal up to its first wrong line. Undefined when not even the first line can be trusted. */
export function replay(journal: Uint8Array): Replay | undefined {
  let state: JournalState | undefined
  let start = 0
  for (let end = journal.indexOf(LINE_FEED); end >= 0; end = journal.indexOf(LINE_FEED, start)) {
    const entry = decodeLine(journal.subarray(start, end))
    if (entry === undefined) break
    if (state === undefined) state = firstState(entry)
    else if (!apply(state, entry)) break
    if (state === undefined) return undefined
    start = end + 1
  }
  return state && { state, trustedBytes: start, cut: start < journal.length }
}

/** What the first line of a journal says, or undefined when it is none. */
export function firstState(entry: Entry | undefined): JournalState | undefined {
  if (entry?.kind !== 'task' || !isSound(entry.meta)) return undefined
  const { meta, boot } = entry
  const validators = { etag: meta.etag, lastModified: meta.lastModified }
  return {
    meta,
    boot,
    contentLength: meta.contentLength,
    pieces: new Map(),
    signers: [],
    validators,
    shared: undefined,
  }
}

/** Whether a task with these facts can be stored at all. */
export function isSound({ taskId, pieceLength, contentLength = 0 }: TaskMeta): boolean {
  const lengths = Number.isSafeInteger(pieceLength) && Number.isSafeInteger(contentLength) && contentLength >= 0
  return isTaskId(taskId) && lengths && pieceLength >= 1 && pieceLength <= MAX_PIECE_LENGTH
}

/** False when the entry contradicts what is known: it is as wrong as a damaged one. */
export function apply(state: JournalState, entry: Entry): boolean {
  switch (entry.kind) {
    case 'task':
      return false
    case 'length':
      return settle(state, entry.contentLength)
    case 'piece':
      return settle(state, entry.contentLength) && addPiece(state, entry.piece)
    case 'signers':
      state.signers = entry.signers
      return true
    case 'validators':
      state.validators = entry.validators
      return true
    case 'dropped':
      for (const number of entry.numbers) state.pieces.delete(number)
      return true
    case 'shared':
      state.shared = entry.facts
      return true
    case 'unshared':
      state.shared = undefined
      return true
    case 'checked':
      state.boot = entry.boot
      return true
  }
}

function settle(state: JournalState, contentLength: number | undefined): boolean {
  if (contentLength === undefined) return true
  if (state.contentLength !== undefined) return state.contentLength === contentLength
  state.contentLength = contentLength
  return true
}

function addPiece(state: JournalState, piece: HeldPiece): boolean {
  const span = pieceSpan(piece.number, state.meta.pieceLength, state.contentLength)
  if (piece.offset !== span.offset || piece.length !== span.length || span.length < 1) return false
  if (piece.blocks.length !== blockCount(piece.length) * DIGEST_LENGTH) return false
  state.pieces.set(piece.number, piece)
  return true
}

/** The blocks of a piece with their digests, as they lie in the content. */
export function* blocksOf(piece: HeldPiece): Generator<{ offset: number; length: number; digest: Uint8Array }> {
  for (let index = 0; index * BLOCK_LENGTH < piece.length; index++) {
    const start = index * BLOCK_LENGTH
    const digest = piece.blocks.subarray(index * DIGEST_LENGTH, (index + 1) * DIGEST_LENGTH)
    yield { offset: piece.offset + start, length: Math.min(BLOCK_LENGTH, piece.length - start), digest }
  }
}
