import {
  type BlockConnection,
  type BlockConnections,
  fetchPiece,
  syncPiecesRequest,
  type SyncPiecesResponse,
  toldPieceOf,
  type UploadClient,
} from '#api'
import type { Announced, BlockAsk, BlockChannel, ParentLink } from './from-parent.ts'
import type { Parent } from './plan.ts'

export interface ParentLinkDeps {
  readonly hostId: string
  /** A client for a parent's upload service; channels are shared and closed by who made this. */
  client(parent: Parent): UploadClient
  readonly connections: BlockConnections
  readonly pieceTimeoutMs: number
}

const CONNECT_TIMEOUT_MS = 2000

/** Talks with parents over their upload service and their piece server. */
export function parentLink(deps: ParentLinkDeps): ParentLink {
  return {
    async *sync(parent, { taskId, version, numbers, inOrder }, signal) {
      const request = syncPiecesRequest({ hostId: deps.hostId, taskId, version, numbers, speaksBlocks: true, inOrder })
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
    openBlocks: ({ ip, port }, onSilent) => new KeptChannel(deps.connections, { host: ip, port, onSilent }),
  }
}

/** One connection of the pool at a time; another one after it broke. */
class KeptChannel implements BlockChannel {
  readonly #connections: BlockConnections
  readonly #to: { readonly host: string; readonly port: number; onSilent(): void }
  #connection: BlockConnection | undefined

  constructor(connections: BlockConnections, to: { readonly host: string; readonly port: number; onSilent(): void }) {
    this.#connections = connections
    this.#to = to
  }

  ask(ask: BlockAsk, sink: Parameters<BlockChannel['ask']>[1]): Promise<void> {
    if (this.#connection === undefined || this.#connection.closed) {
      const { host, port } = this.#to
      const handlers = { onSilent: () => this.#to.onSilent(), onBroken: () => undefined }
      this.#connection = this.#connections.take(host, port, handlers)
    }
    return this.#connection.ask({ ...ask, sink })
  }

  close(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined) return
    if (connection.waiting === 0) this.#connections.give(connection)
    else connection.close()
  }
}

/**
 * Pieces are only fetched from the host that announces them: another address in an answer is passed over. What is kept
 * is copied, so that it does not keep the whole message.
 */
function announcedOf(response: SyncPiecesResponse, taskId: string, parent: Parent): Announced | undefined {
  const { port, record, blocks, content, ...told } = toldPieceOf(response, taskId)
  if (port === undefined || port > 65_535) return undefined
  const own = record && { ...record, blocks: copyOf(record.blocks), signature: copyOf(record.signature) }
  return {
    ...told,
    record: own,
    blocks: blocks && copyOf(blocks),
    content: content && copyOf(content),
    ip: parent.ip,
    port,
  }
}

function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
