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

/**
 * News of blocks waits for more of it: each message costs both sides more than a block's checksum. Not at the beginning
 * and at the end of a download, when somebody may have nothing else to ask for. Who has many children tells each of them
 * less often: they have many to ask, too.
 */
const PACE_MS = { least: 5, most: 200 }
const PACE_MS_PER_CHILD = { least: 0.5, most: 25 }
const SLOWEST_PACE_MS = 1000
const FULL_PACE_AFTER_MS = 2000
const LAST_PART = 1 / 16
const MAX_NEWS = 1000

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
  const startedAtMs = performance.now()
  try {
    while (!signal.aborted) {
      for await (const message of messages(telling.take(), task, telling, deps)) yield message
      if (telling.hasNews) continue
      if (telling.toldAll || (!telling.keepsBack && (task.complete || !deps.isRunning(task)))) return
      await telling.news()
      if (telling.onlyBlocks)
        await sleep(paceMs(task, performance.now() - startedAtMs, telling.children), undefined, { signal }).catch(
          () => undefined,
        )
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

type Held = Pick<StoredTask, 'contentLength' | 'heldBytes'>

/** How long news waits for more: of a task, so long after the talk began, where so many children are told of it. */
export function paceMs({ contentLength = 0, heldBytes }: Held, sinceMs: number, children: number): number {
  const least = Math.max(PACE_MS.least, children * PACE_MS_PER_CHILD.least)
  if (contentLength - heldBytes < contentLength * LAST_PART) return Math.min(least, SLOWEST_PACE_MS)
  const most = Math.max(PACE_MS.most, children * PACE_MS_PER_CHILD.most)
  return Math.min(least + (sinceMs / FULL_PACE_AFTER_MS) * most, most, SLOWEST_PACE_MS)
}

/** What there is to say of pieces. Those that the child knows already go into one message. */
async function* messages(
  numbers: readonly number[],
  task: StoredTask,
  telling: PieceTelling,
  deps: SyncDeps,
): AsyncGenerator<SyncPiecesResponse> {
  let known: SyncPiecesResponse | undefined
  for (const number of numbers) {
    const isKnown = telling.speaksBlocks && telling.isKnown(number)
    const message = await messageOf(number, task, telling, deps)
    if (message === undefined) continue
    if (!isKnown) yield message
    else if (known === undefined) known = message
    else known.more.push({ number, heldBlocks: message.heldBlocks })
    if (known !== undefined && known.more.length >= MAX_NEWS) {
      yield known
      known = undefined
    }
  }
  if (known !== undefined) yield known
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
