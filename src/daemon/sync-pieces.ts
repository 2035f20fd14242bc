import { type SyncPiecesRequest, type SyncPiecesResponse, syncPiecesResponse } from '#api'
import { Failure } from '#core'
import type { HeldPiece, StoredTask, TaskStore } from '#storage'

export interface SyncDeps {
  readonly store: Pick<TaskStore, 'get'>
  isRunning(task: StoredTask): boolean
  /** Where pieces are served. */
  readonly ip: string
  readonly port: number
}

/** How often it is checked whether pieces can still come. */
const CHECK_MS = 500

/**
 * Tells a child which pieces are here, and each further one as soon as it is held. Ends when all that the child asked
 * for were told, or when no more will come.
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
  const asked = request.allPieces ? undefined : new Set(request.interestedPieceNumbers)
  const wants = (number: number): boolean => asked === undefined || asked.has(number)
  const ready: HeldPiece[] = []
  let wake = (): void => undefined
  const forget = task.onPiece((piece) => {
    if (wants(piece.number)) ready.push(piece)
    wake()
  })
  const onAbort = (): void => wake()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    ready.push(...task.pieces().filter(({ number }) => wants(number)))
    while (!signal.aborted) {
      for (const piece of ready.splice(0)) {
        asked?.delete(piece.number)
        yield syncPiecesResponse(piece, { ip: deps.ip, tcpPort: deps.port }, task.record(piece.number))
      }
      if (ready.length > 0) continue
      if (asked?.size === 0 || task.complete || !deps.isRunning(task)) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CHECK_MS)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    forget()
    signal.removeEventListener('abort', onAbort)
  }
}
