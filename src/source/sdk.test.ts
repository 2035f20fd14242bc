import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { isFailureCode } from '#core'
import * as sdk from './sdk.ts'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

test.each(['sdk.ts', 'testing.ts'])('%s carries nothing of the host and no package along', async (entry) => {
  const { metafile } = await build({
    entryPoints: [here(entry)],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    metafile: true,
    packages: 'external',
    logLevel: 'silent',
  })
  const files = Object.keys(metafile.inputs)
  expect(files.filter((file) => !file.includes('src/source/'))).toEqual([])
  const imports = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  expect(imports.filter((path) => !path.startsWith('node:'))).toEqual([])
})

// G1 row 3 and the constants of spec A3.
test('constants and texts are those of Dragonfly', () => {
  expect(sdk.UNKNOWN_SOURCE_FILE_LEN).toBe(-2)
  expect(sdk.X_DRAGONFLY_RANGE).toBe('X-Dragonfly-Range')
  expect(sdk.X_DRAGONFLY_LAST_MODIFIED).toBe('X-Dragonfly-Last-Modified')
  expect(sdk.X_DRAGONFLY_ETAG).toBe('X-Dragonfly-ETag')
  expect(sdk.unexpectedStatus(404, [200, 206]).message).toBe('status code from source is 404; was expecting 200 or 206')
  expect(sdk.formatHttpDate(1136214245999)).toBe('Mon, 02 Jan 2006 15:04:05 GMT')
})

test('a response has its defaults: status 200, length unknown', () => {
  const body = new Uint8Array(3)
  expect(sdk.newResponse(body)).toEqual({ body, status: 200, headers: {}, contentLength: -1, expireInfo: {} })
  expect(sdk.newResponse(body, { status: 206, contentLength: 3 })).toMatchObject({ status: 206, contentLength: 3 })
})

test('every error has a code that the host knows, and no secret in its message', () => {
  const url = 'd7yfs://user:secret@host/path?token=secret#secret'
  const errors = [
    sdk.notFound(url),
    sdk.denied(url),
    sdk.changed(url),
    sdk.unreachable('no answer'),
    sdk.broken('nonsense'),
    sdk.rangeInvalid('beyond the end'),
    sdk.notSupported('no ranges here'),
    ...[100, 301, 400, 401, 404, 416, 429, 500, 999].map((status) => sdk.unexpectedStatus(status)),
  ]
  for (const error of errors) {
    expect(isFailureCode(error.code)).toBe(true)
    expect(error.message).not.toContain('secret')
  }
})

test('the suite runs under node:test without anything else', async () => {
  const plugin = `
    import { testSource } from './testing.mjs'
    const content = new TextEncoder().encode('hello world')
    testSource('sample', () => ({ url: 'd7yfs://host/x', content, client: { download: async () => ({ body: content }) } }))
    testSource('liar', () => ({ url: 'd7yfs://host/x', content, client: { download: async () => ({ body: content, contentLength: 12 }) } }))
  `
  const { outputFiles } = await build({
    stdin: { contents: plugin.replace('./testing.mjs', './testing.ts'), resolveDir: here('.'), loader: 'js' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  })
  const output = run(outputFiles[0]?.text ?? '')
  expect(output).toMatch(/# pass \d\d/)
  expect(output).toMatch(/# fail 1\n/)
  expect(output).toContain('not ok')
  expect(output).toContain('liar announces the status and length that its body has')
  expect(readFileSync(here('sdk.ts'), 'utf8')).not.toContain('#core')
})

function run(program: string): string {
  const { NODE_TEST_CONTEXT: _, VITEST: __, ...env } = process.env
  try {
    return execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      env,
      stdio: 'pipe',
    })
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout)
  }
}
