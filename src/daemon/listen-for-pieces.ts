import { type PieceServer, servePieces } from '#api'
import { BLOCK_LENGTH, blockCount, pieceSpan } from '#core'
import type { StoredTask, TaskStore } from '#storage'
import type { Activity } from './activity.ts'
import type { Counts } from './counts.ts'
import type { Handouts } from './handouts.ts'
import { TokenBucket } from './rate-limit.ts'

export interface PieceListening {
  readonly host: string
  readonly port: number
  readonly maxConnections: number
  readonly idleTimeoutMs: number
  /** Bytes per second to all children together; 0: no limit. */
  readonly rateLimit: number
}

export interface ListenForPiecesDeps {
  readonly store: Pick<TaskStore, 'get'>
  readonly activity: Activity
  readonly counts: Counts
  readonly handouts: Handouts
}

/** Serves pieces that are held, and blocks that are here of others, at the rate that was set. */
export function listenForPieces(how: PieceListening, deps: ListenForPiecesDeps): Promise<PieceServer> {
  const { store, activity, counts, handouts } = deps
  const { host, port, maxConnections, idleTimeoutMs, rateLimit } = how
  return servePieces({
    listen: { host, port },
    maxConnections,
    idleTimeoutMs,
    limit: new TokenBucket(rateLimit),
    onServed: ({ taskId, number, bytes }) => {
      counts.add('dragonfly_dfdaemon_upload_piece_total')
      counts.add('dragonfly_dfdaemon_upload_bytes_total', bytes)
      const task = store.get(taskId)
      if (task !== undefined) handouts.sent(task, number, blockCount(bytes))
    },
    find: (taskId, number) => {
      const task = store.get(taskId)
      const piece = task?.piece(number)
      if (task === undefined || piece === undefined) return Promise.resolve(undefined)
      activity.touch()
      handouts.asked(task, number, 0, blockCount(piece.length))
      return Promise.resolve({ ...piece, read: (position, target) => task.read(piece.offset + position, target) })
    },
    findBlocks: (taskId, number, first, count) => {
      const task = store.get(taskId)
      const span = task && blocksHere(task, number, first, count)
      if (task === undefined || span === undefined) return Promise.resolve(undefined)
      activity.touch()
      handouts.asked(task, number, first, count)
      return Promise.resolve({ ...span, read: (position, target) => task.read(span.offset + position, target) })
    },
  })
}

/** Where these blocks of a piece lie; undefined when not all of them are here. */
function blocksHere(
  task: StoredTask,
  number: number,
  first: number,
  count: number,
): { readonly offset: number; readonly length: number } | undefined {
  const { contentLength, meta } = task
  if (contentLength === undefined || count < 1) return undefined
  const span = pieceSpan(number, meta.pieceLength, contentLength)
  if (span.length <= 0 || first + count > blockCount(span.length)) return undefined
  if (task.piece(number) === undefined) {
    const here = task.blocks(number)
    for (let index = first; index < first + count; index++) if (here?.has(index) !== true) return undefined
  }
  const offset = span.offset + first * BLOCK_LENGTH
  return { offset, length: Math.min(count * BLOCK_LENGTH, span.offset + span.length - offset) }
}
