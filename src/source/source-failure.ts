import { Failure, messageOf } from '#core'
import { redactText, redactUrl } from './redact-url.ts'
import type { SourceErrorCode } from './source-error.ts'

const CODES: ReadonlySet<unknown> = new Set<SourceErrorCode>([
  'source.not_found',
  'source.denied',
  'source.unreachable',
  'source.broken',
  'source.changed',
  'source.range_invalid',
  'source.not_supported',
])

/** Who failed, and on what. */
export interface FailureContext {
  /** As messages name the source: `plugin d7yfs`. */
  readonly name: string
  readonly inTree: boolean
  /** A stranger's, but the objects that are handed around are our own: it runs in another process. */
  readonly apart?: boolean
  readonly url: string
}

const LONGEST_MESSAGE = 4096
const retryAfter = new WeakMap<Failure, number>()
const lasting = new WeakSet<Failure>()

/** How long the origin wants to be left alone, in milliseconds, when it said so. */
export function retryAfterMs(failure: Failure): number | undefined {
  return retryAfter.get(failure)
}

/** Another try would end the same way, its source said. */
export function isLasting(failure: Failure): boolean {
  return lasting.has(failure)
}

/**
 * Whatever a client threw, as a Failure: by its `code` where that is one of a source's, else `source.broken` that names
 * the client. What a stranger's plugin threw is not kept as the cause: it may hold secrets, and its stack is no help.
 */
export function sourceFailure(error: unknown, { name, inTree, url }: FailureContext): Failure {
  if (inTree && error instanceof Failure) return error
  const { code, message: said, wait, forGood } = readError(error)
  const message = redactText(said.replaceAll(url, redactUrl(url))) || 'it does not say why'
  const cause = inTree ? { cause: error } : {}
  const failure = isSourceCode(code)
    ? new Failure(code, `cannot read ${redactUrl(url)}: ${message}`, cause)
    : new Failure('source.broken', `${name} failed on ${redactUrl(url)}: ${message}`, cause)
  if (wait !== undefined) retryAfter.set(failure, wait)
  if (forGood) lasting.add(failure)
  return failure
}

/** A source's answer that breaks the contract. */
export function brokenAnswer(reason: string, { name, inTree, url }: FailureContext): Failure {
  const message = inTree ? reason : `${name}: ${reason}`
  return new Failure('source.broken', `cannot read ${redactUrl(url)}: ${message}`)
}

/** True for the ways of saying that a method exists in name only. */
export function isUnimplemented(error: unknown): boolean {
  const { code, message } = readError(error)
  return code === 'source.not_supported' || /^\W*(implement me|(method )?not (yet )?implemented)\b/i.test(message)
}

/** Reads an error of a stranger's: anything can be thrown, and its getters may throw again. */
function readError(error: unknown): ErrorFacts {
  try {
    const { code, retryAfterMs: wait, lasting } = Object(error) as Record<string, unknown>
    const said: unknown = messageOf(error) // a stranger's message may be no text
    const message = typeof said === 'string' ? said.slice(0, LONGEST_MESSAGE) : ''
    return { code, message, wait: typeof wait === 'number' && wait > 0 ? wait : undefined, forGood: lasting === true }
  } catch {
    return { code: undefined, message: 'it threw something unreadable', wait: undefined, forGood: false }
  }
}

interface ErrorFacts {
  readonly code: unknown
  readonly message: string
  readonly wait: number | undefined
  readonly forGood: boolean
}

/** One of the codes that a source may give. */
export function isSourceCode(code: unknown): code is SourceErrorCode {
  return CODES.has(code)
}
