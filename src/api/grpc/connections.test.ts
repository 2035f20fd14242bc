import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { beforeAll, expect, test } from 'vitest'

const CHILD = resolve('node_modules/.cache/dragonfly-test/grpc-child.mjs')
/** A connection that is kept costs some 2.5 kB of heap: those of four rounds would cost four times as much as this. */
const ROUND = 400
const ALLOWED_BYTES = 2 ** 20

beforeAll(() =>
  build({
    entryPoints: [join(import.meta.dirname, 'test-child.ts')],
    outfile: CHILD,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  }),
)

test.each(['garbage', 'calls'])('connections that ended leave nothing behind: %s', async (what) => {
  const argv = ['--expose-gc', CHILD, what, String(ROUND)]
  const { stdout } = await promisify(execFile)(process.execPath, argv)
  const [first = 0, ...later] = JSON.parse(stdout) as number[]
  expect(later).toHaveLength(4)
  expect(Math.max(...later) - first).toBeLessThan(ALLOWED_BYTES)
})
