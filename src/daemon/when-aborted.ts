import { Failure } from '#core'

/** Rejects once the signal aborts, with its reason. Forget it when the wait is over. */
export function whenAborted(signal: AbortSignal): { promise: Promise<never>; forget(): void } {
  let abort = (): void => undefined
  const promise = new Promise<never>((_, reject) => {
    abort = () =>
      reject(signal.reason instanceof Error ? signal.reason : new Failure('download.cancelled', 'cancelled'))
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
  })
  promise.catch(() => undefined)
  return { promise, forget: () => signal.removeEventListener('abort', abort) }
}
