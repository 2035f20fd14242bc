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

/** The announcement of a piece, with its record when it has one. */
export function syncPiecesResponse(
  piece: { number: number; offset: number; length: number },
  at: { ip: string; tcpPort: number },
  record: PieceRecord | undefined,
): SyncPiecesResponse {
  const { number, offset, length } = piece
  const message = record && PieceRecordMessage.fromPartial(record)
  return SyncPiecesResponse.fromPartial({ number, offset, length, ...at, record: message })
}

/** The record that came with an announcement; whether to believe it is another question. */
export function pieceRecordOf(response: SyncPiecesResponse, taskId: string): PieceRecord | undefined {
  if (response.record === undefined) return undefined
  const { number, offset, length } = response
  const { version, pieceLength, blocks, signer, signature, contentLength } = response.record
  return { taskId, version, pieceLength, number, offset, length, blocks, signer, signature, contentLength }
}
