import { Failure } from '#core'

const EXIT_INTERRUPTED = 130

/**
 * Aborted by the first SIGTERM or SIGINT (with a `download.cancelled` as its reason): time to finish in order. A second
 * one ends the process at once.
 */
export function untilStopped(): AbortSignal {
  const controller = new AbortController()
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED)
    controller.abort(new Failure('download.cancelled', `stopped by ${signal}`))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return controller.signal
}

/** Resolves when the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
