import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { resolveSettings } from '#core'
import { startOrigin, type TempDir, tempDir } from '#devnet'
import { builtInSources } from '../registry.ts'
import { sourceSettings } from '../settings.ts'
import type { Source } from '../source.ts'
import { testSink } from '../test-sink.ts'

const { signal } = new AbortController()
let dir: TempDir
let server: Server
let port = 0
let redirectTo = ''

beforeAll(async () => {
  dir = await tempDir('tls')
  const [key, cert] = [dir.join('key.pem'), dir.join('cert.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'pipe' })
  server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: redirectTo }).end()
    else response.end(`hello ${request.headers.host}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  port = typeof address === 'object' ? (address?.port ?? 0) : 0
})

afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await dir[Symbol.asyncDispose]()
})

function https(tls: { ca?: string; insecure?: string[] } = {}): Source {
  const settings = resolveSettings(sourceSettings, [{ retry: { firstDelay: '1ms', maxDelay: '5ms' }, tls }])
  const source = builtInSources(settings, () => undefined).find(({ scheme }) => scheme === 'https')
  if (source === undefined) throw new Error('no source')
  return source
}

async function read(source: Source, url: string, headers = {}): Promise<string> {
  const sink = testSink()
  await source.read({ url, headers }, sink, { signal })
  return sink.bytes.toString()
}

test('a certificate that nobody vouches for is refused, and the message names the setting', async () => {
  await expect(read(https(), `https://localhost:${port}/`)).rejects.toMatchObject({
    code: 'source.unreachable',
    message: expect.stringContaining('sources.tls.ca'),
  })
})

test('an authority named in the settings is trusted', async () => {
  const source = https({ ca: dir.join('cert.pem') })
  expect(await read(source, `https://localhost:${port}/`)).toBe(`hello localhost:${port}`)
  expect(await read(source, `https://127.0.0.1:${port}/`)).toBe(`hello 127.0.0.1:${port}`)
})

test('a Host header does not change whose certificate is checked', async () => {
  const source = https({ ca: dir.join('cert.pem') })
  expect(await read(source, `https://localhost:${port}/`, { Host: 'virtual.example' })).toBe('hello virtual.example')
})

test('only hosts that are named are read without a check', async () => {
  expect(await read(https({ insecure: ['localhost'] }), `https://localhost:${port}/`)).toContain('hello')
  expect(await read(https({ insecure: [`localhost:${port}`] }), `https://localhost:${port}/`)).toContain('hello')
  const other = https({ insecure: ['localhost:1', 'example.org'] })
  await expect(read(other, `https://localhost:${port}/`)).rejects.toMatchObject({ code: 'source.unreachable' })
})

test('a redirect from https to http is refused', async () => {
  await using origin = await startOrigin({ content: Buffer.from('plain') })
  redirectTo = origin.url()
  await expect(read(https({ ca: dir.join('cert.pem') }), `https://localhost:${port}/away`)).rejects.toMatchObject({
    code: 'source.not_supported',
  })
  expect(origin.requests).toHaveLength(0)
})

test('a CA file that cannot be read is config.invalid', () => {
  expect(() => https({ ca: dir.join('none.pem') })).toThrow(expect.objectContaining({ code: 'config.invalid' }))
})
