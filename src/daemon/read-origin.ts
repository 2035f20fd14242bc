import { type ByteSink, type Digest, Failure } from '#core'
import { type Answer, type ExpireInfo, type ReadRequest, redactUrl, type Source } from '#source'
import type { PieceSignature, StoredTask, UnsignedPiece } from '#storage'
import type { HostKey } from './trust.ts'

export interface FromSourceDeps {
  readonly source: Source
  readonly signer: { readonly hostId: string; readonly key: HostKey }
  /** Connections to the origin at most, where more of them are faster; 4 when not given. */
  readonly connections?: number
  /** Puts the limits of this download around a sink. */
  limit(sink: ByteSink): ByteSink
  /** Told what the origin publishes of the whole, before its bytes come. What it throws ends the read. */
  published(digest: Digest | undefined): void
}

/** Pieces from `first` up to `end` (not included); without an end, to the end of the content. */
export interface Stretch {
  readonly first: number
  readonly end: number | undefined
}

/** What is special about one stream. */
export interface Way {
  /** Puts something around the sink of the pieces; `full` before its end, it is a cut: what follows is for others. */
  around?(sink: ByteSink): ByteSink
  /** Told what the origin answers; `limited`: this download has a limit of its own. */
  answered?(answer: Answer, limited: boolean): void
  /** See ReadOptions. */
  readonly impatient?: boolean
}

/** Reads a stretch of pieces at the origin, in one stream. An origin that knows no ranges is read from its start. */
export async function readStretch(
  task: StoredTask,
  stretch: Stretch,
  request: ReadRequest,
  deps: FromSourceDeps,
  signal: AbortSignal,
  way: Way = {},
): Promise<void> {
  const { pieceLength } = task.meta
  const length = task.contentLength
  const start = stretch.first * pieceLength
  const end = Math.min((stretch.end ?? Number.POSITIVE_INFINITY) * pieceLength, length ?? Number.POSITIVE_INFINITY) - 1
  const whole = start === 0 && (length === undefined || end === length - 1)
  await using writer = task.write({
    first: stretch.first,
    ...(stretch.end === undefined ? {} : { end: stretch.end }),
    from: { traffic: 'source' },
    sign: (piece) => signPiece(task, piece, deps.signer),
  })
  const limited = deps.limit(writer)
  const sink = way.around?.(limited) ?? limited
  const ifMatch = expireInfoOf(task)
  try {
    await deps.source.read(request, sink, {
      signal,
      ifMatch,
      ...(way.impatient === true ? { impatient: true } : {}),
      ...(whole && length !== undefined ? { wholeBytes: length } : {}),
      onAnswer(answer) {
        checkLength(task, answer.totalLength)
        learn(task, answer.expireInfo)
        deps.published(answer.digest)
        way.answered?.(answer, limited !== writer)
      },
      ...(whole ? {} : { range: { start, end } }),
    })
  } catch (error) {
    if (!whole && isNotSupported(error)) return readStretch(task, { first: 0, end: undefined }, request, deps, signal)
    await writer.end().catch(() => undefined) // what came whole is kept for the next try; the first error is the one to tell
    throw error
  }
  const isCut = sink.full && !limited.full
  await writer.end({ eof: !isCut && end === (length ?? Number.POSITIVE_INFINITY) - 1 })
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
