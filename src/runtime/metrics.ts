import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { VERSION } from './version.ts'

/** What is counted, and where it can be read. */
export interface Metrics extends AsyncDisposable {
  readonly registry: Registry
  readonly port: number
}

export interface MetricsOptions {
  /** 0 takes any free port. */
  readonly port: number
  readonly host: string
}

/** Serves `/metrics` in the Prometheus text form. The library is loaded only here: metrics are off by default. */
export async function serveMetrics(options: MetricsOptions): Promise<Metrics> {
  const { collectDefaultMetrics, Gauge, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const version = new Gauge({
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
    registry,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
