/** What a source can say about why it failed. The same spelling as in the host's table of failures. */
export type SourceErrorCode =
  /** There is nothing at this URL. Not tried again. */
  | 'source.not_found'
  /** Credentials are missing or do not suffice. Not tried again. */
  | 'source.denied'
  /** The origin does not answer. Tried again. */
  | 'source.unreachable'
  /** The origin answered nonsense, or broke off; also what an error without a code counts as. Tried again. */
  | 'source.broken'
  /** The resource is another one than a moment ago. Tried again. */
  | 'source.changed'
  /** The range lies outside of the resource. Not tried again. */
  | 'source.range_invalid'
  /** The source cannot do that, and never will. Not tried again. */
  | 'source.not_supported'

/**
 * Thrown by sources. The host looks at `code` alone, never at the class: an error with one of these codes counts, however
 * it was made. The message is shown to users: no credentials in it.
 */
export class SourceError extends Error {
  override readonly name = 'SourceError'
  /** What the host acts on. */
  readonly code: SourceErrorCode
  /** How long the origin wants to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** Another try would end the same way, whatever the code says. */
  readonly lasting: boolean

  constructor(
    code: SourceErrorCode,
    message: string,
    options?: { cause?: unknown; retryAfterMs?: number | undefined; lasting?: boolean },
  ) {
    super(message, options)
    this.code = code
    this.retryAfterMs = options?.retryAfterMs
    this.lasting = options?.lasting ?? false
  }
}

/** There is nothing at this URL. */
export function notFound(url: string): SourceError {
  return new SourceError('source.not_found', `there is nothing at ${withoutSecrets(url)}`)
}

/** Credentials are missing or do not suffice. */
export function denied(url: string): SourceError {
  return new SourceError('source.denied', `access to ${withoutSecrets(url)} was refused`)
}

/** The origin did not answer. Tried again. */
export function unreachable(reason: string, cause?: unknown): SourceError {
  return new SourceError('source.unreachable', reason, { cause })
}

/** The origin answered nonsense, or broke off. Tried again. */
export function broken(reason: string, cause?: unknown): SourceError {
  return new SourceError('source.broken', reason, { cause })
}

/** The resource is another one than a moment ago. */
export function changed(url: string): SourceError {
  return new SourceError('source.changed', `${withoutSecrets(url)} changed while it was read`)
}

/** The range lies outside of the resource. */
export function rangeInvalid(reason: string): SourceError {
  return new SourceError('source.range_invalid', reason)
}

/** This client cannot do what was asked, and never will. */
export function notSupported(reason: string): SourceError {
  return new SourceError('source.not_supported', reason)
}

/** An answer whose status is none of `allowed`, as the error that fits it. */
export function unexpectedStatus(
  got: number,
  allowed: readonly number[] = [200, 206],
  options: { retryAfterMs?: number | undefined } = {},
): SourceError {
  const message = `status code from source is ${got}; was expecting ${allowed.join(' or ')}`
  return new SourceError(codeOfStatus(got), message, options)
}

function codeOfStatus(status: number): SourceErrorCode {
  if (status === 404 || status === 410) return 'source.not_found'
  if (status === 401 || status === 403 || status === 407 || status === 451) return 'source.denied'
  if (status === 416) return 'source.range_invalid'
  if (status === 408 || status === 425 || status === 429 || status >= 500) return 'source.unreachable'
  return 'source.broken'
}

/** The URL without user name, password, query values and fragment. */
function withoutSecrets(text: string): string {
  if (!URL.canParse(text)) return 'what is no URL'
  const url = new URL(text)
  url.username = ''
  url.password = ''
  url.hash = ''
  for (const key of new Set(url.searchParams.keys())) url.searchParams.set(key, 'xxx')
  return url.href
}
