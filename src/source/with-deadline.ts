import { Failure, formatDuration } from '#core'
import { linkedAbort } from './abort.ts'
import { redactUrl } from './redact-url.ts'
import type { ReadRequest, Source } from './source.ts'

/** The same source, but a question that gets no answer in `deadlineMs` is `source.unreachable`. Reading takes its time. */
export function withDeadline(inner: Source, deadlineMs: number): Source {
  const within = async <T>(request: ReadRequest, signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>) => {
    using abort = linkedAbort(signal)
    const timer = setTimeout(() => {
      const limit = formatDuration(deadlineMs)
      abort.abort(new Failure('source.unreachable', `${redactUrl(request.url)} did not answer within ${limit}`))
    }, deadlineMs)
    try {
      return await ask(abort.signal)
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    ...inner,
    describe: (request, signal) => within(request, signal, (signal) => inner.describe(request, signal)),
    isExpired: (request, info, signal) => within(request, signal, (signal) => inner.isExpired(request, info, signal)),
  }
}
