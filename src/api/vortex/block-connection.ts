import type { ByteSink, Failure } from '#core'
import type { BlockSpan } from './codec.ts'

/** Who is told how a connection does. */
export interface BlockHandlers {
  /** Something was asked, and no byte came for `silentMs`; told again only after another byte. */
  onSilent(): void
  /** The connection is of no use any more; what waited was rejected with the same error. Not told after `close()`. */
  onBroken(error: unknown): void
}

export interface BlockTimes {
  readonly connectTimeoutMs: number
  /** Longest silence of the parent while it has something to answer. */
  readonly timeoutMs: number
  /** Silence after which `onSilent` is told. */
  readonly silentMs: number
}

export interface BlockConnectionOptions extends BlockTimes, BlockHandlers {
  readonly host: string
  readonly port: number
}

/** A request for blocks of one piece. */
export interface BlockAsk extends BlockSpan {
  /** Together, of all these blocks. */
  readonly bytes: number
  /** Where they go; called when their first byte is due. May refuse by throwing. */
  sink(): ByteSink
  readonly signal?: AbortSignal | undefined
}

/** A connection to a parent on which blocks are asked for ahead, and come in the order in which they were asked for. */
export interface BlockConnection {
  readonly host: string
  readonly port: number
  /** Requests that are not answered whole. */
  readonly waiting: number
  /** No request can be asked any more. */
  readonly closed: boolean
  /**
   * Resolves when all bytes are in the sink. The connection goes on after `piece.missing` (the parent does not have
   * them), after the reason of the signal (what comes is thrown away; what else waits is asked again when that needs a
   * new socket), and after what `sink()` throws. It is broken after `peer.unreachable` (it cannot be reached, falls
   * silent or stops early), `piece.corrupt` (it says nonsense), and what the methods of the sink throw.
   */
  ask(ask: BlockAsk): Promise<void>
  /** Resets the connection, so that the parent stops sending at once. What waits is rejected with `reason`. */
  close(reason?: Failure): void
}
