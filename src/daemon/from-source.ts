import { Failure, type Signer } from '#core'
import { type ReadRequest, redactUrl } from '#source'
import type { StoredTask } from '#storage'
import { MoreConnections } from './more-connections.ts'
import type { FromSourceDeps, Stretch } from './read-origin.ts'
import { CONNECTIONS, readRun } from './source-run.ts'

/**
 * Reads the wanted pieces that are missing at the origin, run by run, each run in one stream, or in a few where that is
 * faster. An origin that knows no ranges, or whose length is unknown, is read from its start to its end, and held pieces are passed over.
 */
export async function fetchFromSource(
  task: StoredTask,
  wanted: Wanted,
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
): Promise<void> {
  const ranges = await supportsRanges(task, request, deps, signal)
  const policy = new MoreConnections(deps.connections ?? CONNECTIONS)
  for (let run = nextRun(task, wanted); run !== undefined; run = nextRun(task, wanted)) {
    const before = task.heldBytes
    await readRun(task, ranges ? run : { first: 0, end: undefined }, request, deps, signal, policy)
    const settled = task.pieceCount === 0
    if (task.heldBytes === before && !settled)
      throw new Failure('source.broken', `${redactUrl(request.url)} was read without one more piece of it`)
  }
}

/** The pieces that somebody waits for; without an end, all of them. */
export interface Wanted {
  readonly first: number
  readonly last: number | undefined
}

/** The first run of pieces that are wanted and not held, cut where a held piece follows. */
export function nextRun(task: StoredTask, wanted: Wanted): Stretch | undefined {
  const last = lastWanted(task, wanted)
  if (last === undefined) return { first: 0, end: undefined }
  let first = wanted.first
  while (first <= last && task.piece(first) !== undefined) first++
  if (first > last) return undefined
  let end = first + 1
  while (end <= last && task.piece(end) === undefined) end++
  return { first, end }
}

export function lastWanted(task: StoredTask, wanted: Wanted): number | undefined {
  if (task.pieceCount === undefined) return wanted.last
  return Math.min(wanted.last ?? Number.POSITIVE_INFINITY, task.pieceCount - 1)
}

/** Only a read of the whole needs no ranges. */
async function supportsRanges(
  task: StoredTask,
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
): Promise<boolean> {
  if (task.contentLength === undefined) return false
  if (task.heldBytes === 0) return true
  const { supportsRange } = await deps.source.describe(request, signal)
  return supportsRange !== false
}

/** This host as a signer, for those it names itself to. */
export function asSigner(signer: FromSourceDeps['signer']): Signer {
  return { hostId: signer.hostId, publicKey: signer.key.publicKey }
}
