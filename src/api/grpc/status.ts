import { Failure, type FailureCode, isFailureCode } from '#core'

/** gRPC's own codes. */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

export type StatusName = keyof typeof STATUS

/** How a call ended, in gRPC's words. A handler may throw one; a client finds it as the `cause` of a Failure. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: number

  constructor(code: number, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** The gRPC code of a call that failed, where a server (of anyone) told one. */
export function statusOf(error: unknown): number | undefined {
  if (error instanceof StatusError) return error.code
  return error instanceof Failure && error.cause instanceof StatusError ? error.cause.code : undefined
}

/** What stock programs are told of our failures; they look at little more than whether it is OK. */
const STATUS_OF_FAILURE: Partial<Record<FailureCode, StatusName>> = {
  'usage.invalid': 'INVALID_ARGUMENT',
  'config.invalid': 'INVALID_ARGUMENT',
  'source.unknown_scheme': 'FAILED_PRECONDITION',
  'plugin.broken': 'FAILED_PRECONDITION',
  'source.range_invalid': 'FAILED_PRECONDITION',
  'source.not_supported': 'FAILED_PRECONDITION',
  'piece.corrupt': 'DATA_LOSS',
  'piece.missing': 'NOT_FOUND',
  'peer.unreachable': 'UNAVAILABLE',
  'digest.mismatch': 'FAILED_PRECONDITION',
  'download.timeout': 'DEADLINE_EXCEEDED',
  'download.no_source': 'FAILED_PRECONDITION',
  'download.cancelled': 'CANCELLED',
  'storage.full': 'RESOURCE_EXHAUSTED',
  'scheduler.full': 'RESOURCE_EXHAUSTED',
  'storage.in_use': 'FAILED_PRECONDITION',
  'output.invalid': 'FAILED_PRECONDITION',
  'daemon.unavailable': 'UNAVAILABLE',
  'scheduler.unavailable': 'UNAVAILABLE',
  'host.unknown': 'NOT_FOUND',
  'task.unknown': 'NOT_FOUND',
}

/** Carries the code of a Failure to programs of this project. */
const FAILURE_HEADER = 'df-failure'
const MAX_MESSAGE_CHARACTERS = 2048

export type Trailers = Record<string, string>

/** The trailers that tell a caller how its call failed. What is neither Failure nor StatusError stays secret. */
export function trailersOf(error: unknown): Trailers {
  if (error instanceof StatusError) return trailers(error.code, error.message)
  if (!(error instanceof Failure)) return trailers(STATUS.INTERNAL, 'internal error; see the log of the server')
  // What is not in the table (above all: the origin failed) is INTERNAL, as stock daemons say it.
  const code = STATUS[STATUS_OF_FAILURE[error.code] ?? 'INTERNAL']
  const told = { ...trailers(code, error.message), [FAILURE_HEADER]: error.code }
  return error.code.startsWith('source.') ? { ...told, 'grpc-status-details-bin': sourceDetails(error) } : told
}

function trailers(code: number, message: string): Trailers {
  return { 'grpc-status': String(code), 'grpc-message': percentEncode(message.slice(0, MAX_MESSAGE_CHARACTERS)) }
}

/** Stock dfget reads this JSON, raw, where gRPC would put a google.rpc.Status. */
function sourceDetails(error: Failure): string {
  const message = error.message.slice(0, MAX_MESSAGE_CHARACTERS)
  return Buffer.from(JSON.stringify({ message, header: {}, status_code: httpStatusOf(error.cause) })).toString('base64')
}

function httpStatusOf(cause: unknown): number | null {
  const status = typeof cause === 'object' && cause !== null && 'status' in cause ? cause.status : undefined
  return typeof status === 'number' ? status : null
}

/**
 * The Failure that trailers tell of, or undefined for OK. `unavailable` is the code for a server that does not answer
 * as it should; the StatusError is its cause.
 */
export function failureOf(
  trailers: Readonly<Record<string, unknown>>,
  target: string,
  codes: { unavailable: FailureCode; notFound: FailureCode },
): Failure | undefined {
  const code = Number(trailers['grpc-status'])
  if (code === STATUS.OK) return undefined
  const said = trailers['grpc-message']
  const message = readable(percentDecode(typeof said === 'string' ? said : ''))
  const cause = new StatusError(Number.isInteger(code) ? code : STATUS.UNKNOWN, message)
  const told = trailers[FAILURE_HEADER]
  if (isFailureCode(told)) return new Failure(told, message, { cause })
  const name = Object.entries(STATUS).find(([, value]) => value === code)?.[0] ?? `status ${code}`
  const answer = `${target} answered ${name}${message === '' ? '' : `: ${message}`}`
  if (code === STATUS.NOT_FOUND) return new Failure(codes.notFound, answer, { cause })
  if (code === STATUS.INVALID_ARGUMENT) return new Failure('usage.invalid', answer, { cause })
  return new Failure(codes.unavailable, answer, { cause })
}

/** Whatever a stranger writes, it moves no cursor and fills no log. */
function readable(text: string): string {
  return text.slice(0, MAX_MESSAGE_CHARACTERS).replaceAll(/[^\P{Cc}\n\t]/gu, ' ')
}

/** gRPC's percent-encoding: everything but printable ASCII, and the percent sign itself. */
export function percentEncode(text: string): string {
  return text.replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

/** The reverse; what is not encoded well stays as it is. */
export function percentDecode(text: string): string {
  return text.replaceAll(/(?:%[0-9a-fA-F]{2})+/g, (part) => Buffer.from(part.replaceAll('%', ''), 'hex').toString())
}
