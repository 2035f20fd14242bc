import type { PieceNews } from '#api'
import { type ByteSink, Failure, type PieceRecord } from '#core'
import type { StoredTask } from '#storage'
import type { Parent } from './plan.ts'
import type { Ask } from './strategy/index.ts'

/** What a parent says it has. */
export interface Announced {
  readonly number: number
  readonly offset: number
  readonly length: number
  /** Where its piece server listens. */
  readonly ip: string
  readonly port: number
  readonly record: PieceRecord | undefined
  /** Bytes of a block set: what is there of a piece that is not whole; undefined: all of it. */
  readonly blocks?: Uint8Array | undefined
  /** It can be asked for single blocks. */
  readonly speaksBlocks?: boolean
  /** All bytes of the piece, sent along because they are few. */
  readonly content?: Uint8Array | undefined
  /** News of other pieces, of which it told before. */
  readonly more?: readonly PieceNews[]
}

/** The head of a piece as its sender writes it. */
export interface PieceClaim {
  readonly offset: number
  readonly length: number
  readonly crc32: number | undefined
}

/** The talks with a parent; all end with the signal. */
export interface ParentLink {
  /** Pieces the parent has, then those it gets, until it has sent all that were asked for. */
  sync(parent: Parent, ask: SyncAsk, signal: AbortSignal): AsyncIterable<Announced>
  /** One piece; `sink` is asked once the parent's claim is known. */
  fetch(ask: FetchAsk, sink: (claim: PieceClaim) => ByteSink, signal: AbortSignal): Promise<void>
  /** A way to ask for blocks, several requests at once; connects when the first one is made. */
  openBlocks(at: { readonly ip: string; readonly port: number }, onSilent: () => void): BlockChannel
}

export interface BlockChannel {
  /** `sink` is asked for when the answer begins. Resolves when it took everything. */
  ask(ask: BlockAsk, sink: () => ByteSink): Promise<void>
  /** Ends it; what was asked for rejects. A connection on which nothing is under way may serve others. */
  close(): void
}

export interface BlockAsk {
  readonly taskId: string
  readonly number: number
  /** Index, in the piece, of the first block. */
  readonly first: number
  readonly count: number
  readonly bytes: number
}

export interface SyncAsk {
  readonly taskId: string
  readonly version: string
  /** Piece numbers; undefined for all there are. */
  readonly numbers: readonly number[] | undefined
  /** Somebody reads along: everything is to be told at once. */
  readonly inOrder: boolean
}

export interface FetchAsk {
  readonly ip: string
  readonly port: number
  readonly taskId: string
  readonly number: number
}

export interface FromParentDeps {
  readonly link: ParentLink
  limit(sink: ByteSink): ByteSink
}

/** Everything came and was right, and then what was here was doubted. Nobody is to blame, and it is to be had again. */
export class Doubted extends Error {}

/** When so much of an answer is still to come, the next one may be asked for: its link is not to rest in between. */
const NEARLY_BYTES = 128 * 1024

/** Brings some blocks of a piece, each checked against the record before anybody can read it. */
export async function fetchBlocks(
  task: StoredTask,
  ask: Ask,
  record: PieceRecord,
  channel: BlockChannel,
  deps: Pick<FromParentDeps, 'limit'> & { readonly onNearly: () => void },
): Promise<void> {
  const { piece: number, first, count, bytes, member: parentId } = ask
  await using writer = task.writeBlocks({ record, first, count, parentId })
  const sink = (): ByteSink => telling(deps.limit(writer), bytes - NEARLY_BYTES, deps.onNearly)
  await channel.ask({ taskId: task.meta.taskId, number, first, count, bytes }, sink)
  await orDoubted(writer.end())
}

/** Calls `tell` once, as soon as the sink has so many bytes. */
function telling(sink: ByteSink, bytes: number, tell: () => void): ByteSink {
  let left = bytes
  return {
    space: () => sink.space(),
    filled(length) {
      const more = sink.filled(length)
      if (left > 0 && left <= length) tell()
      left -= length
      return more
    },
    drained: () => sink.drained(),
    get full() {
      return sink.full
    },
  }
}

/**
 * Brings one piece from a parent. With a record each block is checked against it as it arrives; without one the CRC-32
 * that the parent sends is all there is. A piece that does not match is `piece.corrupt` and never held.
 */
export async function fetchFromParent(
  task: StoredTask,
  parent: Parent,
  announced: Announced,
  record: PieceRecord | undefined,
  deps: FromParentDeps,
  signal: AbortSignal,
): Promise<void> {
  const { number } = announced
  let claim: PieceClaim | undefined
  await using writer = task.write({
    first: number,
    end: number + 1,
    from: { traffic: 'peer', parentId: parent.id },
    expect: () => ({
      ...(record === undefined ? {} : { blocks: record.blocks }),
      ...(record === undefined && claim?.crc32 !== undefined ? { crc32: claim.crc32 } : {}),
    }),
    sign: () => record && { signer: record.signer, signature: record.signature, contentLength: record.contentLength },
  })
  const ask = { ip: announced.ip, port: announced.port, taskId: task.meta.taskId, number }
  await deps.link.fetch(
    ask,
    (said) => {
      claim = said
      if (said.offset !== announced.offset || said.length !== announced.length) {
        throw new Failure(
          'piece.corrupt',
          `${parent.hostname} announced piece ${number} with ${announced.length} bytes at ${announced.offset}, and sends ${said.length} at ${said.offset}`,
        )
      }
      return deps.limit(writer)
    },
    signal,
  )
  await orDoubted(writer.end({ eof: isLast(task, record, announced) }))
  if (task.piece(number) !== undefined) return
  throw new Failure(
    'piece.missing',
    `${parent.hostname} gave a part of piece ${number}, and nobody knows it to be the last`,
  )
}

/** Where all bytes came, only what was forgotten can be missing. */
async function orDoubted(ending: Promise<void>): Promise<void> {
  try {
    await ending
  } catch (error) {
    if (error instanceof Failure && error.code === 'piece.missing') throw new Doubted(error.message, { cause: error })
    throw error
  }
}

/** Whether the content ends with this piece, as far as somebody who is believed said so. */
function isLast(task: StoredTask, record: PieceRecord | undefined, announced: Announced): boolean {
  const contentLength = task.contentLength ?? record?.contentLength
  return contentLength === announced.offset + announced.length
}
