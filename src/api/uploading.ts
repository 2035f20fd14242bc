import type { PieceRecord } from '#core'
import type { Channel } from './grpc/channel.ts'
import { type Client, clientOf } from './grpc/client.ts'
import { serverStream, unary } from './grpc/method.ts'
import {
  DeleteTaskRequest,
  DownloadTaskRequest,
  DownloadTaskResponse,
  Empty,
  Host,
  PieceRecordMessage,
  StatTaskRequest,
  SyncHostRequest,
  SyncPiecesRequest,
  SyncPiecesResponse,
  Task,
} from './messages.ts'
import { checkDownloadTask, checkIds, checkSyncPieces, checkSyncPiecesResponse } from './validate.ts'

const NAME = '/dfdaemon.v2.DfdaemonUpload'
const MiB = 2 ** 20

/** What other hosts and schedulers ask of a daemon, over TCP. */
export const uploadService = {
  downloadTask: serverStream(`${NAME}/DownloadTask`, DownloadTaskRequest, DownloadTaskResponse, {
    check: checkDownloadTask,
    maxRequestBytes: MiB,
    maxResponseBytes: 80 * MiB,
  }),
  statTask: unary(`${NAME}/StatTask`, StatTaskRequest, Task, { check: checkIds }),
  deleteTask: unary(`${NAME}/DeleteTask`, DeleteTaskRequest, Empty, { check: checkIds }),
  syncPieces: serverStream(`${NAME}/SyncPieces`, SyncPiecesRequest, SyncPiecesResponse, {
    check: checkSyncPieces,
    checkResponse: checkSyncPiecesResponse,
    ignoreTimeout: true,
    maxRequestBytes: MiB,
    maxResponseBytes: MiB,
  }),
  syncHost: serverStream(`${NAME}/SyncHost`, SyncHostRequest, Host, {
    check: checkIds,
    ignoreTimeout: true,
    maxResponseBytes: MiB,
  }),
} as const

export type UploadClient = Client<typeof uploadService>

/** Open the channel with `unavailable: 'peer.unreachable'`. */
export function uploadClient(channel: Channel): UploadClient {
  return clientOf(uploadService, channel)
}

/** What a child asks a parent to tell it of. */
export interface PiecesAsked {
  readonly hostId: string
  readonly taskId: string
  readonly version: string | undefined
  /** Piece numbers; undefined for all there are. */
  readonly numbers: Iterable<number> | undefined
  /** Tell of single blocks, too, and send the content of a small task at once. */
  readonly speaksBlocks: boolean
  /** The child reads along: tell it everything at once. */
  readonly inOrder: boolean
}

export function syncPiecesRequest(asked: PiecesAsked): SyncPiecesRequest {
  const { numbers, ...rest } = asked
  return { ...rest, interestedPieceNumbers: [...(numbers ?? [])], allPieces: numbers === undefined }
}

/** What only children that speak blocks are told of a piece. */
export interface BlocksTold {
  readonly speaksBlocks?: boolean
  /** Blocks that are here, where the piece is not whole: the bytes of a block set. */
  readonly blocks?: Uint8Array | undefined
  /** All bytes of a task of one piece and at most a block. */
  readonly content?: Uint8Array | undefined
}

/** What is new of a piece that was told of before: its blocks, or, without them, all of it. */
export interface PieceNews {
  readonly number: number
  /** The bytes of a block set. */
  readonly heldBlocks?: Uint8Array | undefined
}

/** The announcement of a piece, with its record when it has one. */
export function syncPiecesResponse(
  piece: { number: number; offset: number; length: number },
  at: { ip: string; tcpPort: number },
  record: PieceRecord | undefined,
  { speaksBlocks = false, blocks, content }: BlocksTold = {},
): SyncPiecesResponse {
  const { number, offset, length } = piece
  const message = record && PieceRecordMessage.fromPartial(record)
  return { number, offset, length, ...at, record: message, speaksBlocks, heldBlocks: blocks, content, more: [] }
}

/** A piece, or a part of it, as a parent tells of it. */
export interface ToldPiece {
  readonly number: number
  /** Bytes from the start of the content. */
  readonly offset: number
  readonly length: number
  /** Where its bytes are served, beside the address of the parent. */
  readonly port: number | undefined
  /** Whether to believe it is another question. */
  readonly record: PieceRecord | undefined
  /** Bytes of a block set with as many blocks as `length` has; undefined: the whole piece is there. */
  readonly blocks: Uint8Array | undefined
  /** All bytes of the piece, which is the whole content then. */
  readonly content: Uint8Array | undefined
  /** `port` answers requests for blocks. */
  readonly speaksBlocks: boolean
  /** News of other pieces, which were told of before. */
  readonly more: readonly PieceNews[]
}

/** An announcement as plain values; the call has checked their bounds. */
export function toldPieceOf(response: SyncPiecesResponse, taskId: string): ToldPiece {
  const { number, offset, length, tcpPort, heldBlocks, content, speaksBlocks, more } = response
  const port = tcpPort === undefined || tcpPort === 0 ? undefined : tcpPort
  const record = pieceRecordOf(response, taskId)
  return { number, offset, length, port, record, blocks: heldBlocks, content, speaksBlocks, more }
}

/** The record that came with an announcement; whether to believe it is another question. */
export function pieceRecordOf(response: SyncPiecesResponse, taskId: string): PieceRecord | undefined {
  if (response.record === undefined) return undefined
  const { number, offset, length } = response
  const { version, pieceLength, blocks, signer, signature, contentLength } = response.record
  return { taskId, version, pieceLength, number, offset, length, blocks, signer, signature, contentLength }
}
