import type { UnsignedPiece, WriteOptions } from './contract.ts'
import type { Draft, PieceFacts } from './draft.ts'

/** Writes of one writer that may be under way: 1, 2 and 4 took 290, 242 and 222 ms for a GiB. */
export const MAX_BUSY = 4
/** Below this a giver that had to wait goes on: each wait costs a pause of its socket. */
export const RESUME_BUSY = 2

/** What a writer needs of its task. */
export interface WriterTask {
  readonly pieceLength: number
  readonly contentLength: number | undefined
  settleLength(length: number): Promise<void>
  held(number: number): boolean
  /** The draft of a piece, shared with everyone who writes it; each join is to be left again. */
  join(number: number): Draft
  leave(draft: Draft): void
  /** False when the piece is held meanwhile, and nothing was written. */
  write(bytes: Uint8Array, offset: number): Promise<boolean>
  /** Lists a piece whose bytes are all written. */
  keep(piece: UnsignedPiece, facts: PieceFacts, sign: WriteOptions['sign']): Promise<void>
}
