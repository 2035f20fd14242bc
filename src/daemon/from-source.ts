import type { ByteSink, Digest, Signer } from '#core'
import { Failure } from '#core'
import { type ExpireInfo, type ReadRequest, redactUrl, type Source } from '#source'
import type { PieceSignature, StoredTask, UnsignedPiece } from '#storage'
import type { HostKey } from './trust.ts'

export interface FromSourceDeps {
  readonly source: Source
  readonly signer: { readonly hostId: string; readonly key: HostKey }
  /** Puts the limits of this download around a sink. */
  limit(sink: ByteSink): ByteSink
  /** Told what the origin publishes of the whole, before its bytes come. What it throws ends the read. */
  published(digest: Digest | undefined): void
}

/**
 * Reads the wanted pieces that are missing at the origin, run by run, each run in one stream. An origin that knows no
 * ranges, or whose length is unknown, is read from its start to its end, and held pieces are passed over.
 */
export async function fetchFromSource(
  task: StoredTask,
  wanted: Wanted,
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
): Promise<void> {
  const ranges = await supportsRanges(task, request, deps, signal)
  for (let run = nextRun(task, wanted); run !== undefined; run = nextRun(task, wanted)) {
    const before = task.heldBytes
    await readRun(task, ranges ? run : { first: 0, end: undefined }, request, deps, signal)
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
export function nextRun(task: StoredTask, wanted: Wanted): { first: number; end: number | undefined } | undefined {
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

async function readRun(
  task: StoredTask,
  run: { first: number; end: number | undefined },
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
): Promise<void> {
  const { pieceLength } = task.meta
  const length = task.contentLength
  const start = run.first * pieceLength
  const end = Math.min((run.end ?? Number.POSITIVE_INFINITY) * pieceLength, length ?? Number.POSITIVE_INFINITY) - 1
  const whole = start === 0 && (length === undefined || end === length - 1)
  await using writer = task.write({
    first: run.first,
    ...(run.end === undefined ? {} : { end: run.end }),
    from: { traffic: 'source' },
    sign: (piece) => signPiece(task, piece, deps.signer),
  })
  const ifMatch = expireInfoOf(task)
  try {
    await deps.source.read(request, deps.limit(writer), {
      signal,
      ifMatch,
      ...(whole && length !== undefined ? { wholeBytes: length } : {}),
      onAnswer(answer) {
        checkLength(task, answer.totalLength)
        learn(task, answer.expireInfo)
        deps.published(answer.digest)
      },
      ...(whole ? {} : { range: { start, end } }),
    })
  } catch (error) {
    if (!whole && isNotSupported(error)) return readRun(task, { first: 0, end: undefined }, request, deps, signal)
    await writer.end().catch(() => undefined) // what came whole is kept for the next try; the first error is the one to tell
    throw error
  }
  await writer.end({ eof: end === (length ?? Number.POSITIVE_INFINITY) - 1 })
}

/** What the origin said of the content that is here. */
export function expireInfoOf({ validators: { etag, lastModified } }: StoredTask): ExpireInfo {
  return { ...(etag ? { etag } : {}), ...(lastModified ? { lastModified } : {}) }
}

/** A resource that has another length than a moment ago is another resource, whatever its validators say. */
function checkLength(task: StoredTask, found: number | undefined): void {
  const expected = task.contentLength
  if (found === undefined || expected === undefined || found === expected) return
  const url = redactUrl(task.meta.url)
  throw new Failure('source.changed', `${url} was described with ${expected} bytes, and is sent with ${found}`)
}

/** Some sources tell their validators with the bytes alone. */
function learn(task: StoredTask, { etag = '', lastModified = '' }: ExpireInfo): void {
  const { validators } = task
  if (validators.etag === '' && validators.lastModified === '') task.validators = { etag, lastModified }
}

function signPiece(task: StoredTask, piece: UnsignedPiece, signer: FromSourceDeps['signer']): PieceSignature {
  const { taskId, version, pieceLength } = task.meta
  const { number, offset, length, contentLength, blocks } = piece
  const signature = signer.key.sign({
    taskId,
    version,
    pieceLength,
    number,
    offset,
    length,
    contentLength,
    blocks,
    signer: signer.hostId,
  })
  return { signer: signer.hostId, signature, contentLength }
}

function isNotSupported(error: unknown): boolean {
  return error instanceof Failure && error.code === 'source.not_supported'
}

/** This host as a signer, for those it names itself to. */
export function asSigner(signer: FromSourceDeps['signer']): Signer {
  return { hostId: signer.hostId, publicKey: signer.key.publicKey }
}
