import { setTimeout as sleep } from 'node:timers/promises'
import { type SyncPiecesRequest, type SyncPiecesResponse, syncPiecesResponse } from '#api'
import { BLOCK_LENGTH, Failure } from '#core'
import type { HeldPiece, StoredTask, TaskStore } from '#storage'
import type { Handouts } from './handouts.ts'
import { PieceTelling } from './piece-telling.ts'

export interface SyncDeps {
  readonly store: Pick<TaskStore, 'get'>
  readonly handouts: Handouts
  isRunning(task: StoredTask): boolean
  /** Where pieces are served. */
  readonly ip: string
  readonly port: number
  /** Bytes were sent along with the news. */
  sent(bytes: number): void
}

/** News of blocks waits so long for more of it: each message costs both sides more than the block's checksum. */
const PACE_MS = 20

/**
 * Tells a child which pieces are here, and each further one as soon as it is held; a child that speaks blocks of single
 * blocks, too. Ends when all that the child asked for were told, or when no more will come.
 */
export async function* syncPieces(
  request: SyncPiecesRequest,
  deps: SyncDeps,
  signal: AbortSignal,
): AsyncGenerator<SyncPiecesResponse> {
  const task = deps.store.get(request.taskId)
  if (task === undefined || (request.version !== undefined && request.version !== task.meta.version)) {
    throw new Failure(
      'task.unknown',
      `task ${request.taskId} is not here${task === undefined ? '' : ' in this version'}`,
    )
  }
  using _hold = task.hold()
  using telling = new PieceTelling(task, request, request.inOrder ? undefined : deps.handouts.of(task))
  const onAbort = (): void => telling.wake()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    while (!signal.aborted) {
      const numbers = telling.take()
      for (const number of numbers) {
        const message = await messageOf(number, task, telling, deps)
        if (message !== undefined) yield message
      }
      if (telling.hasNews) continue
      if (telling.toldAll || (!telling.keepsBack && (task.complete || !deps.isRunning(task)))) return
      await telling.news()
      if (telling.onlyBlocks) await sleep(PACE_MS, undefined, { signal }).catch(() => undefined)
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** What there is to say of a piece; undefined when that has been said. */
async function messageOf(
  number: number,
  task: StoredTask,
  telling: PieceTelling,
  deps: SyncDeps,
): Promise<SyncPiecesResponse | undefined> {
  const record = telling.recordOf(number)
  const at = { ip: deps.ip, tcpPort: deps.port }
  const { speaksBlocks } = telling
  const piece = task.piece(number)
  if (piece !== undefined) {
    telling.told(number)
    const content = speaksBlocks && record !== undefined ? await smallContent(piece, task) : undefined
    if (content !== undefined) deps.sent(content.length)
    return syncPiecesResponse(piece, at, record, { speaksBlocks, content })
  }
  const blocks = speaksBlocks ? task.blocks(number) : undefined
  const span = telling.spanOf(number)
  if (blocks === undefined || span === undefined) return undefined
  return syncPiecesResponse(span, at, record, { speaksBlocks, blocks: Uint8Array.from(blocks.bytes) })
}

/** A task of one block goes along with the news of it: one round trip. */
async function smallContent(piece: HeldPiece, task: StoredTask): Promise<Uint8Array | undefined> {
  if (task.contentLength !== piece.length || piece.length > BLOCK_LENGTH) return undefined
  const content = Buffer.allocUnsafe(piece.length)
  const bytes = await task.read(piece.offset, content).catch(() => 0)
  return bytes === content.length ? content : undefined
}
