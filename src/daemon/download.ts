import { type Digest, Failure, formatDigest, piecesOf, type RangeRequest, resolveRange } from '#core'
import type { Logger } from '#runtime'
import { redactUrl } from '#source'
import type { HeldPiece, StoredTask, TaskStore } from '#storage'
import { checkDigest } from './check-digest.ts'
import { type DescribeDeps, type Described, describe } from './describe.ts'
import type { Fetches } from './fetches.ts'
import type { Wanted } from './from-source.ts'
import { type MakeRoomDeps, withRoom } from './make-room.ts'
import type { DownloadRequest, DownloadResult, Tally } from './request.ts'

export interface DownloadDeps extends DescribeDeps, MakeRoomDeps {
  readonly store: TaskStore
  readonly log: Logger
  readonly fetches: Fetches
}

/** Who looks on. Nothing of the data flows through here. */
export interface Onlooker {
  /** The task is open; `held` are the wanted pieces that were here before. */
  started?(task: StoredTask, range: OpenRange, held: readonly HeldPiece[]): void
  piece?(piece: HeldPiece): void
}

/** Bytes wanted; an end that is not known is the end of the content. */
export interface OpenRange {
  readonly start: number
  readonly end: number | undefined
}

const ATTEMPTS = 3

/** The whole way of a download, top to bottom: describe, open, plan and fetch, check, hand over. */
export async function download(
  request: DownloadRequest,
  deps: DownloadDeps,
  signal: AbortSignal,
  onlooker: Onlooker = {},
): Promise<DownloadResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(request, deps, signal, onlooker)
    } catch (error) {
      if (!isChanged(error) || attempt === ATTEMPTS || signal.aborted) throw error
      deps.log.warn({ url: request.url, attempt }, 'the origin changed while it was read: starting again')
    }
  }
}

/** A function of its own: esbuild's `using` inside a loop throws the error of an earlier round again. */
async function once(
  request: DownloadRequest,
  deps: DownloadDeps,
  signal: AbortSignal,
  onlooker: Onlooker,
): Promise<DownloadResult> {
  const described = await describe(request, deps, signal)
  using _early = described.early
  const task = await deps.store.open(described.meta)
  using _hold = task.hold()
  return await bring(task, described, request, deps, signal, onlooker)
}

async function bring(
  task: StoredTask,
  described: Described,
  request: DownloadRequest,
  deps: DownloadDeps,
  signal: AbortSignal,
  onlooker: Onlooker,
): Promise<DownloadResult> {
  const range = openRange(request.range, task.contentLength)
  const wanted = wantedPieces(range, task)
  const expected = toCheck(request, described.originDigest)
  const { tally, stop: stopCounting } = startTally(task, wanted, onlooker)
  const held = task.pieces().filter(({ number }) => isWanted(number, wanted))
  onlooker.started?.(task, range, held)
  try {
    const { disableBackSource, inOrder, rateLimitBytes } = request
    const { source, read, registration } = described
    const share = {
      wanted,
      inOrder,
      disableBackSource,
      rateLimitBytes,
      registration,
      origin: { source, request: read },
    }
    deps.fetches.originDigests.expect(task, described.originDigest)
    await together(signal, [
      (stop) => withRoom(task, () => deps.fetches.join(task, share, stop), deps),
      (stop) =>
        expected === undefined ? Promise.resolve() : checkDigest(task, expected, range, deps.fetches.hashers, stop),
    ])
    await deps.fetches.originDigests.passed(task, signal)
  } catch (error) {
    if (!deps.fetches.originDigests.refused(task)) throw error
    throw await letGo(task, error, request.range === undefined && tally.local > 0, deps)
  } finally {
    stopCounting()
  }
  return handOver(task, request, tally)
}

/** What the user wants of the bytes, where the origin's own digest does not say the same. */
function toCheck({ digest, range, url }: DownloadRequest, published: Digest | undefined): Digest | undefined {
  if (digest?.algorithm !== published?.algorithm || digest === undefined || range !== undefined) return digest
  if (digest.hex === published?.hex) return undefined
  const both = `published[${formatDigest({ ...digest, hex: published?.hex ?? '' })}] expected[${formatDigest(digest)}]`
  throw new Failure('digest.mismatch', `${redactUrl(url)} is published with another digest than you expect: ${both}`)
}

/** Nobody goes on with bytes that the origin disowns; those that were `here` before may just be of another state. */
async function letGo(task: StoredTask, error: unknown, here: boolean, deps: DownloadDeps): Promise<unknown> {
  const { taskId } = task.meta
  if (deps.store.get(taskId) === task) {
    await deps.store.delete(taskId)
    await deps.forget(taskId)
  }
  if (!here || !(error instanceof Failure) || error.code !== 'digest.mismatch') return error
  return new Failure('source.changed', `${error.message}; a part of it was here before`, { cause: error })
}

/** The bytes are here and right: makes the output. */
async function handOver(task: StoredTask, request: DownloadRequest, tally: Tally): Promise<DownloadResult> {
  const contentLength = task.contentLength
  if (contentLength === undefined) throw new Error(`task ${task.meta.taskId} ended without a length`)
  const range = request.range && resolveRange(request.range, contentLength)
  const bytes = range === undefined ? contentLength : range.end - range.start + 1
  const result = { taskId: task.meta.taskId, contentLength, bytes, tally }
  if (request.output === undefined) return { ...result, exportedBy: 'none' }
  const made = await task.export(request.output, { ...range, ...(request.originalOffset ? { atOffset: true } : {}) })
  return { ...result, exportedBy: made.by }
}

function openRange(range: RangeRequest | undefined, contentLength: number | undefined): OpenRange {
  if (range === undefined) return { start: 0, end: undefined }
  if (contentLength !== undefined) return resolveRange(range, contentLength)
  return 'last' in range ? { start: 0, end: undefined } : range
}

function wantedPieces(range: OpenRange, task: StoredTask): Wanted {
  const { start, end } = range
  if (end === undefined) return { first: Math.floor(start / task.meta.pieceLength), last: undefined }
  return piecesOf({ start, end }, task.meta.pieceLength)
}

function isWanted(number: number, wanted: Wanted): boolean {
  return number >= wanted.first && (wanted.last === undefined || number <= wanted.last)
}

/** Counts the wanted bytes as they come, by where they come from. */
function startTally(task: StoredTask, wanted: Wanted, onlooker: Onlooker): { tally: Tally; stop: () => void } {
  const here = task.pieces().filter(({ number }) => isWanted(number, wanted))
  const local = here.reduce((sum, { length }) => sum + length, 0)
  const tally: Tally = { fromSource: 0, fromPeers: 0, local, byParentHost: new Map() }
  const stop = task.onPiece((piece) => {
    if (!isWanted(piece.number, wanted)) return
    for (const [parentId, bytes] of piece.brought ?? [[piece.parentId, piece.length]]) count(tally, parentId, bytes)
    onlooker.piece?.(piece)
  })
  return { tally, stop }
}

/** Bytes from a parent, or from the source where there is none. */
function count(tally: Tally, parentId: string, bytes: number): void {
  if (parentId === '') {
    tally.fromSource += bytes
    return
  }
  const host = hostOfPeer(parentId)
  tally.fromPeers += bytes
  tally.byParentHost.set(host, (tally.byParentHost.get(host) ?? 0) + bytes)
}

/** `<ip>-<hostname>-<uuid>[-seed]` without the uuid: the host that the peer is part of. */
function hostOfPeer(peerId: string): string {
  return peerId.replace(/-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(-seed)?$/, '$1')
}

/** Runs both to their end; the first that fails stops the other. */
async function together(signal: AbortSignal, works: readonly ((stop: AbortSignal) => Promise<void>)[]): Promise<void> {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const running = works.map((work) => work(either))
  try {
    await Promise.all(running)
  } catch (error) {
    stop.abort(error)
    await Promise.allSettled(running)
    throw error
  }
}

function isChanged(error: unknown): boolean {
  return error instanceof Failure && error.code === 'source.changed'
}
