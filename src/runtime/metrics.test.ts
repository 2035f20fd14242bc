import { expect, test } from 'vitest'
import { serveMetrics } from './metrics.ts'

test('metrics are served as Prometheus reads them, and nothing else is', async () => {
  await using metrics = await serveMetrics({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`http://127.0.0.1:${metrics.port}/metrics`)
  expect(answer.status).toBe(200)
  expect(await answer.text()).toMatch(/^dragonfly_version\{version="dev",node="v\d+/m)
  expect((await fetch(`http://127.0.0.1:${metrics.port}/`)).status).toBe(404)
})
