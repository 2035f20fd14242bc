import { Failure, formatDuration } from '#core'
import { linkedAbort } from './abort.ts'
import { redactUrl } from './redact-url.ts'
import type { Source } from './source.ts'

/**
 * The same source, but a read to which no byte comes for `idleMs` ends with `source.unreachable`. The time in which the
 * sink takes nothing does not count. 0: no limit.
 */
export function withIdleTimeout(inner: Source, idleMs: number): Source {
  if (idleMs === 0) return inner
  return {
    ...inner,
    async read(request, sink, options) {
      using abort = linkedAbort(options.signal)
      let waiting = 0
      let over = false
      const timer = setTimeout(() => {
        if (waiting > 0) return
        const message = `no byte of ${redactUrl(request.url)} came for ${formatDuration(idleMs)}`
        abort.abort(new Failure('source.unreachable', message))
      }, idleMs)
      const watched = {
        space: () => sink.space(),
        filled(length: number) {
          if (length > 0) timer.refresh()
          return sink.filled(length)
        },
        async drained() {
          waiting++
          await sink.drained().finally(() => {
            waiting--
            if (!over) timer.refresh() // which would set a cleared timer going again
          })
        },
        get full() {
          return sink.full
        },
      }
      try {
        return await inner.read(request, watched, { ...options, signal: abort.signal })
      } finally {
        over = true
        clearTimeout(timer)
      }
    },
  }
}
