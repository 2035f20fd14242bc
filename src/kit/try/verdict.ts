import { AssertionError } from 'node:assert'
import { Failure, messageOf } from '#core'

export type Verdict = 'passed' | 'failed' | 'not supported' | 'not tried'

/** One promise, and what came of it. */
export interface Row {
  readonly check: string
  readonly verdict: Verdict
  /** What was seen; why it failed; what the plugin lacks; which flag to give. Empty where there is nothing to say. */
  readonly detail: string
}

/** Thrown by a check that comes to no verdict. */
export class NoVerdict extends Error {
  readonly verdict: 'not supported' | 'not tried'

  constructor(verdict: 'not supported' | 'not tried', detail: string) {
    super(detail)
    this.verdict = verdict
  }
}

export function notSupported(detail: string): NoVerdict {
  return new NoVerdict('not supported', detail)
}

/** `need`: the flag that is to be given, or what else it takes. */
export function notTried(need: string): NoVerdict {
  return new NoVerdict('not tried', need)
}

/** Runs one check to its end, or to the end of its time. Only what is wrong with the question itself is thrown. */
export async function judge(
  check: string,
  timeoutMs: number,
  run: (signal: AbortSignal) => Promise<string>,
): Promise<Row> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${timeoutMs / 1000} s`)), timeoutMs)
  })
  try {
    return { check, verdict: 'passed', detail: await Promise.race([run(abort.signal), late]) }
  } catch (error) {
    if (error instanceof Failure && error.code === 'usage.invalid') throw error
    if (error instanceof NoVerdict) return { check, verdict: error.verdict, detail: error.message }
    return { check, verdict: 'failed', detail: reasonOf(error) }
  } finally {
    clearTimeout(timer)
    abort.abort() // whatever it still has open
  }
}

const LONGEST_CHARS = 400

/** What went wrong, with what was seen, in one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof AssertionError ? assertionText(error) : told(error)
  const flat = text.replaceAll(/\s+/g, ' ').trim()
  return flat.length > LONGEST_CHARS ? `${flat.slice(0, LONGEST_CHARS)}…` : flat
}

function assertionText({ message: whole, actual, expected, generatedMessage, operator }: AssertionError): string {
  const [message = ''] = whole.split('\n') // Node adds a comparison of its own below
  if (operator === 'strictEqual' || operator === 'deepStrictEqual') {
    const seen = `got ${shown(actual)}, expected ${shown(expected)}`
    return generatedMessage ? seen : `${message}: ${seen}`
  }
  if (operator !== 'rejects') return message
  // Either nothing was thrown, or another error than the one that was due.
  const due = (Object(expected) as { code?: unknown }).code
  if (actual === undefined) return message.replace(/^Missing expected rejection\W*/, 'nothing was thrown by ')
  return `${generatedMessage ? '' : `${message}: `}got ${told(actual)}, expected ${shown(due)}`
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
}

function told(error: unknown): string {
  const { code } = Object(error) as { code?: unknown }
  const known = error instanceof Failure || (typeof code === 'string' && /^[a-z]+\.[a-z_]+$/.test(code))
  return known ? `${String(code)}: ${messageOf(error)}` : messageOf(error)
}
