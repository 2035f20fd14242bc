import { SpanStatusCode, trace } from '@opentelemetry/api'
import { Failure } from '#core'
import type { MetricTable, Sample } from '#runtime'
import { isSourceCode } from '#source'

/** What is counted of the plugins of a host. */
export const pluginMetrics = {
  dragonfly_plugin_calls_total: {
    kind: 'counter',
    help: 'Calls of plugins that ended, by how: ok, cancelled, or the code of the failure.',
    labels: ['scheme', 'method', 'code'],
  },
  dragonfly_plugin_seconds_total: {
    kind: 'counter',
    help: 'Time that calls of plugins took, until the end of the body.',
    labels: ['scheme', 'method'],
  },
  dragonfly_plugin_bytes_total: {
    kind: 'counter',
    help: 'Bytes that plugins gave.',
    labels: ['scheme'],
  },
  dragonfly_plugin_restarts_total: {
    kind: 'counter',
    help: 'Processes of plugins that were started in the place of one that had ended by itself, or had to be ended.',
    labels: ['scheme'],
  },
  dragonfly_plugin_processes: {
    kind: 'gauge',
    help: 'Processes of plugins that run; two while a replaced one finishes its calls.',
    labels: ['scheme'],
  },
} as const satisfies MetricTable

type MetricName = keyof typeof pluginMetrics

/** One call that is under way. */
export interface OpenCall {
  bytes(count: number): void
  /** Once; what comes later does not count. */
  end(error?: unknown): void
}

const tracer = trace.getTracer('dragonfly-ts')

/**
 * Counts the calls of a host's plugins, and makes a trace span of each (nothing, unless the process was started with a
 * tracing SDK of OpenTelemetry). Schemes and methods are few, so the sums are too.
 */
export class CallBook {
  readonly #sums = new Map<string, Sample>()

  open(scheme: string, method: string): OpenCall {
    const startedAt = performance.now()
    const span = tracer.startSpan(`plugin ${scheme} ${method}`, {
      attributes: { 'dragonfly.plugin.scheme': scheme, 'dragonfly.plugin.method': method },
    })
    let given = 0
    let over = false
    return {
      bytes: (count) => {
        given += count
        this.add('dragonfly_plugin_bytes_total', { scheme }, count)
      },
      end: (error) => {
        if (over) return
        over = true
        const code = codeOf(error)
        this.add('dragonfly_plugin_calls_total', { scheme, method, code }, 1)
        this.add('dragonfly_plugin_seconds_total', { scheme, method }, (performance.now() - startedAt) / 1000)
        if (method === 'download') span.setAttribute('dragonfly.plugin.bytes', given)
        if (code !== 'ok') span.setStatus({ code: SpanStatusCode.ERROR, message: code })
        span.end()
      },
    }
  }

  add(name: MetricName, labels: Readonly<Record<string, string>>, value: number): void {
    const key = keyOf(name, labels)
    this.#sums.set(key, { name, labels, value: (this.#sums.get(key)?.value ?? 0) + value })
  }

  samples(): readonly Sample[] {
    return [...this.#sums.values()]
  }
}

function keyOf(name: MetricName, labels: Readonly<Record<string, string>>): string {
  return `${name} ${Object.values(labels).join(' ')}`
}

function codeOf(error: unknown): string {
  if (error === undefined) return 'ok'
  if (error instanceof Failure) return error.code === 'download.cancelled' ? 'cancelled' : error.code
  if (error instanceof DOMException) return 'cancelled' // the reason of an abort, or of a time that is over
  const { code } = Object(error) as { code?: unknown }
  return isSourceCode(code) ? code : 'source.broken'
}
