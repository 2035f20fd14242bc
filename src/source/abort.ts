import { type ByteSink, Failure } from '#core'

/** Why an aborted call ends: the Failure that it was aborted with, else `download.cancelled`. */
export function abortFailure(signal: AbortSignal): Failure {
  const reason: unknown = signal.reason
  return reason instanceof Failure ? reason : new Failure('download.cancelled', 'cancelled', { cause: reason })
}

/** The promise, or `abortFailure` as soon as the signal aborts, whether or not the promise ever settles. */
export function orAbort<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortFailure(signal))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    Promise.resolve(promise)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** A controller that an outer signal aborts too. Dispose of it, or the outer signal keeps it. */
export function linkedAbort(outer: AbortSignal): AbortController & Disposable {
  const controller = new AbortController()
  const onAbort = (): void => controller.abort(outer.reason)
  if (outer.aborted) onAbort()
  else outer.addEventListener('abort', onAbort, { once: true })
  return Object.assign(controller, { [Symbol.dispose]: () => outer.removeEventListener('abort', onAbort) })
}

/** The same sink, but who waits for it is released when the signal aborts. */
export function abortableSink(sink: ByteSink, signal: AbortSignal): ByteSink {
  return {
    space: () => sink.space(),
    filled: (length) => sink.filled(length),
    drained: () => orAbort(sink.drained(), signal),
    get full() {
      return sink.full
    },
  }
}
