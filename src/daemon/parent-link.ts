import { fetchPiece, pieceRecordOf, type SyncPiecesResponse, type UploadClient } from '#api'
import type { Announced, ParentLink } from './from-parent.ts'
import type { Parent } from './plan.ts'

export interface ParentLinkDeps {
  readonly hostId: string
  /** A client for a parent's upload service; channels are shared and closed by who made this. */
  client(parent: Parent): UploadClient
  readonly pieceTimeoutMs: number
}

const CONNECT_TIMEOUT_MS = 2000

/** Talks with parents over their upload service and their piece server. */
export function parentLink(deps: ParentLinkDeps): ParentLink {
  return {
    async *sync(parent, { taskId, version, numbers }, signal) {
      const request = {
        hostId: deps.hostId,
        taskId,
        version,
        interestedPieceNumbers: [...(numbers ?? [])],
        allPieces: numbers === undefined,
        speaksBlocks: false,
        inOrder: false,
      }
      for await (const response of deps.client(parent).syncPieces(request, { signal })) {
        const announced = announcedOf(response, taskId, parent)
        if (announced !== undefined) yield announced
      }
    },
    async fetch(ask, sink, signal) {
      await fetchPiece({
        host: ask.ip,
        port: ask.port,
        taskId: ask.taskId,
        number: ask.number,
        timeoutMs: deps.pieceTimeoutMs,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        signal,
        sink,
      })
    },
  }
}

/** Pieces are only fetched from the host that announces them: another address in an answer is passed over. */
function announcedOf(response: SyncPiecesResponse, taskId: string, parent: Parent): Announced | undefined {
  const { number, offset, length, tcpPort } = response
  if (tcpPort === undefined || tcpPort <= 0 || tcpPort > 65_535) return undefined
  return { number, offset, length, ip: parent.ip, port: tcpPort, record: pieceRecordOf(response, taskId) }
}
