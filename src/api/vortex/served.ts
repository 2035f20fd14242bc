import type { Content } from './sender.ts'

/** A piece as `servePieces` gives it away. */
export interface ServedPiece extends Content {
  readonly number: number
  readonly offset: number
  readonly crc32: number
  /** Peer it came from; empty for the source. */
  readonly parentId: string
  readonly costMs: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
}

/** Neighbouring blocks of one piece as `servePieces` gives them away; positions count from the start of the first. */
export type ServedBlocks = Content

export interface PieceServerOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** The piece, or undefined when it is not here. */
  find(taskId: string, number: number, signal: AbortSignal): Promise<ServedPiece | undefined>
  /** `count` blocks of a piece from block `first` on, or undefined when not all of them are here. Absent: never. */
  findBlocks?(
    taskId: string,
    number: number,
    first: number,
    count: number,
    signal: AbortSignal,
  ): Promise<ServedBlocks | undefined>
  /** Those that only wait for their child to ask again make room for others; further ones are told "busy". */
  readonly maxConnections: number
  /** A child that takes nothing for so long is dropped; sooner when others wait for buffers. */
  readonly idleTimeoutMs: number
  /** How long a child that asks for blocks may ask for nothing; half a minute by default. */
  readonly keepIdleMs?: number
  /** Upload rate: asked before bytes are sent. */
  readonly limit?: { take(bytes: number, signal: AbortSignal): Promise<void> }
  onServed?(served: Served): void
}

/** What was given to a child: a whole piece, or `blocks` blocks of it. */
export interface Served {
  readonly taskId: string
  readonly number: number
  readonly blocks?: number
  readonly bytes: number
  /** From the request to the last byte that the kernel took. */
  readonly ms: number
  /** Address and port of the child. */
  readonly peer: string
}
