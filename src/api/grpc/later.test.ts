import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

/** Runs in a process of its own with little memory: where this goes wrong, Node takes all there is. */
const program = `
  import http2 from 'node:http2'
  import { once } from 'node:events'
  import { openChannel } from './channel.ts'
  import { clientOf } from './client.ts'
  import { bidi } from './method.ts'
  const text = { encode: (message) => ({ finish: () => Buffer.from(message) }), decode: (bytes) => Buffer.from(bytes).toString() }
  const service = { talk: bidi('/test.Talk/Talk', text, text) }
  const server = http2.createServer()
  server.on('stream', (stream) => {
    stream.on('error', () => undefined)
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' })
    stream.on('data', (chunk) => {
      if (chunk.includes('last')) stream.close(http2.constants.NGHTTP2_CANCEL)
      else stream.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  for (let round = 0; round < 10; round++) {
    const channel = openChannel('127.0.0.1:' + server.address().port)
    const client = clientOf(service, channel)
    const other = client.talk()
    await other.send('first')
    await other.responses.next()
    const ended = client.talk()
    await ended.send('last')
    await ended.responses.next().catch(() => undefined) // the server resets it, and our side was still open
    await channel[Symbol.asyncDispose]() // with another call still open
  }
  console.log('well')
  process.exit()
`

test('whoever closes a channel when a call on it has ended does not send Node into an endless loop', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'later-'))
  try {
    const outfile = join(directory, 'program.mjs')
    const stdin = { contents: program, resolveDir: import.meta.dirname, loader: 'ts' } as const
    await build({ stdin, outfile, bundle: true, platform: 'node', target: 'node20', format: 'esm', logLevel: 'error' })
    const command = `ulimit -d 2000000; exec ${process.execPath} ${outfile}`
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { timeout: 20_000 })
    expect(stdout).toBe('well\n')
  } finally {
    await rm(directory, { recursive: true })
  }
})
