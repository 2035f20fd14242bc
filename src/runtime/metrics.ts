import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Counter, Gauge, Registry } from 'prom-client'
import { VERSION } from './version.ts'

/** What a program counts, declared once: names, kinds and help come from here, the reference page too. */
export type MetricTable = Readonly<
  Record<string, { readonly kind: 'counter' | 'gauge'; readonly help: string; readonly labels: readonly string[] }>
>

/** The value of one metric for one set of labels. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What is counted, and where it can be read. */
export interface Metrics extends AsyncDisposable {
  readonly port: number
  /** From now on also what `read` says; it is asked each time somebody looks. */
  add(metrics: MetricTable, read: () => readonly Sample[]): void
}

export interface MetricsOptions {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
}

/** Serves `/metrics` in the Prometheus text form. The library is loaded only here: metrics are off by default. */
export async function serveMetrics(options: MetricsOptions): Promise<Metrics> {
  const { default: library } = await import('prom-client')
  const registry = new library.Registry()
  library.collectDefaultMetrics({ register: registry })
  const version = new library.Gauge({
    name: 'dragonfly_version',
    help: 'The running version, as a label.',
    labelNames: ['version', 'node'],
    registers: [registry],
  })
  version.set({ version: VERSION, node: process.version }, 1)

  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  return {
    add: (metrics, read) => addMetrics(metrics, read, registry, library),
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The classes of the library, handed over because it is only loaded where metrics are served. */
interface Kinds {
  readonly Counter: typeof Counter
  readonly Gauge: typeof Gauge
}

function addMetrics(metrics: MetricTable, read: () => readonly Sample[], registry: Registry, kinds: Kinds): void {
  for (const [name, { kind, help, labels }] of Object.entries(metrics)) {
    const options = { name, help, labelNames: [...labels], registers: [registry] }
    const samples = (): Sample[] => read().filter((sample) => sample.name === name)
    const metric = kind === 'gauge' ? new kinds.Gauge(options) : new kinds.Counter(options)
    Object.assign(metric, {
      collect() {
        metric.reset()
        for (const { labels, value } of samples()) metric.inc(labels, value)
      },
    })
  }
}
