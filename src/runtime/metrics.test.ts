import { expect, test } from 'vitest'
import { serveMetrics } from './metrics.ts'

test('metrics are served as Prometheus reads them, and nothing else is', async () => {
  await using metrics = await serveMetrics({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`http://127.0.0.1:${metrics.port}/metrics`)
  expect(answer.status).toBe(200)
  expect(await answer.text()).toMatch(/^dragonfly_version\{version="dev",node="v\d+/m)
  expect((await fetch(`http://127.0.0.1:${metrics.port}/`)).status).toBe(404)
})

test('what a program counts is read anew each time somebody looks', async () => {
  await using metrics = await serveMetrics({ host: '127.0.0.1', port: 0 })
  let pieces = 1
  metrics.add(
    {
      pieces_total: { kind: 'counter', help: 'Pieces.', labels: ['type'] },
      held_bytes: { kind: 'gauge', help: 'Bytes.', labels: [] },
    },
    () => [
      { name: 'pieces_total', labels: { type: 'p2p' }, value: pieces },
      { name: 'held_bytes', labels: {}, value: 10 * pieces },
    ],
  )
  const read = async (): Promise<string> => (await fetch(`http://127.0.0.1:${metrics.port}/metrics`)).text()
  expect(await read()).toMatch(/^pieces_total\{type="p2p"\} 1$/m)
  pieces = 3
  const text = await read()
  expect(text).toMatch(/^pieces_total\{type="p2p"\} 3$/m)
  expect(text).toMatch(/^held_bytes 30$/m)
})
