import { asFailure, type Failure, messageOf } from '#core'

const MAX_CAUSES = 5

/**
 * Tells what went wrong on stderr: the message, what lies behind it, and the way out. Returns the exit code. A stack is
 * shown only for what nobody foresaw, or on `verbose`.
 */
export function reportFailure(program: string, error: unknown, verbose: boolean): number {
  const failure = asFailure(error)
  const lines = [`${program}: ${failure.message}`]
  // Somebody has seen enough, such as `head`: nothing went wrong that has to be explained.
  if (failure.code === 'output.closed' && !verbose) {
    process.stderr.write(`${lines.join('\n')}\n`)
    return failure.exit
  }
  for (const cause of causesOf(failure)) lines.push(`  because: ${cause}`)
  lines.push(`  ${failure.help}`)
  if (verbose || failure.code === 'internal') lines.push(stackOf(failure))
  process.stderr.write(`${lines.join('\n')}\n`)
  return failure.exit
}

/** The causes that say something the message does not say already. */
export function causesOf(failure: Failure): string[] {
  const causes: string[] = []
  let said = failure.message
  let cause: unknown = failure.cause
  while (cause !== undefined && causes.length < MAX_CAUSES) {
    const text = messageOf(cause)
    if (!said.includes(text)) causes.push(text)
    said += text
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return causes
}

function stackOf(failure: Failure): string {
  const thrown = failure.code === 'internal' && failure.cause instanceof Error ? failure.cause : failure
  return thrown.stack ?? messageOf(thrown)
}
