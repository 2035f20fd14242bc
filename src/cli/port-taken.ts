import { Failure } from '#core'

/** Whether something cannot listen because another process does so at the same port. */
export function isPortTaken(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
}
