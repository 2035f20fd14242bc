import { type ByteSink, type Digest, Failure } from '#core'
import { type Answer, type ExpireInfo, type ReadRequest, redactUrl, type Source } from '#source'
import type { PieceSignature, StoredTask, UnsignedPiece } from '#storage'
import type { HostKey } from './trust.ts'

export interface FromSourceDeps {
  readonly source: Source
  readonly signer: { readonly hostId: string; readonly key: HostKey }
  /** Connections to the origin at most, where more of them are faster; some when not given. */
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
  /** Puts something around the sink of the pieces. */
  around?(sink: ByteSink): ByteSink
  /** Told what the origin answers; `limited`: this download has a limit of its own. */
  answered?(answer: Answer, limited: boolean): void
  /** See ReadOptions: of a stretch that is the whole. What does not come then is for others. */
  readonly atFirst?: number
  /** See ReadOptions. */
  readonly impatient?: boolean
}

const FIRST_BYTES = 64 * 2 ** 20

/**
 * What to ask for before it is known how fast an origin is: enough to see, and whole pieces. Undefined where pieces have
 * a length of the user's choice that does not fit.
 */
export function firstBytes(pieceLength?: number): number | undefined {
  return FIRST_BYTES % (pieceLength ?? FIRST_BYTES) === 0 ? FIRST_BYTES : undefined
}

/**
 * Reads a stretch of pieces at the origin, in one stream. An origin that knows no ranges is read from its start, unless
 * the stream is an impatient one.
 */
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
  const { atFirst, impatient = false } = way
  let bytes: number
  try {
    ;({ bytes } = await deps.source.read(request, sink, {
      signal,
      ifMatch: expireInfoOf(task),
      impatient,
      ...(whole && atFirst !== undefined ? { atFirst } : {}),
      ...(whole && length !== undefined ? { wholeBytes: length } : {}),
      onAnswer(answer) {
        checkLength(task, answer.totalLength)
        learn(task, answer.expireInfo)
        deps.published(answer.digest)
        way.answered?.(answer, limited !== writer)
      },
      ...(whole ? {} : { range: { start, end } }),
    }))
  } catch (error) {
    const asksLess = !whole || atFirst !== undefined
    if (asksLess && !impatient && isNotSupported(error)) {
      return readStretch(task, { first: 0, end: undefined }, request, deps, signal)
    }
    await writer.end().catch(() => undefined) // what came whole is kept for the next try; the first error is the one to tell
    throw error
  }
  const toTheEnd = end === (length ?? Number.POSITIVE_INFINITY) - 1
  await writer.end({ eof: toTheEnd && (length === undefined || start + bytes === length) })
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
