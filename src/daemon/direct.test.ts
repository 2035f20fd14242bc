import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Failure, fill } from '#core'
import { silentLog } from '#runtime'
import type { Source } from '#source'
import { downloadDirectly } from './direct.ts'
import type { DownloadRequest } from './request.ts'
import { contentOf, PIECE_LENGTH } from './swarm-fixture.ts'

const content = contentOf(PIECE_LENGTH + 100)
let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'direct-test-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** Gives its bytes up to `breaksAt`, then waits for `gate` or breaks. */
function source(
  options: { breaksAt?: number; gate?: Promise<void>; code?: 'source.unreachable' | 'source.denied' } = {},
): Source {
  const expireInfo = { etag: '"1"' }
  return {
    scheme: 'http',
    local: () => false,
    describe: () => Promise.resolve({ contentLength: content.length, supportsRange: true, expireInfo, headers: {} }),
    isExpired: () => Promise.resolve(false),
    async read(_, sink, { range }) {
      const { start, end } = range ?? { start: 0, end: content.length - 1 }
      const bytes = await fill(sink, content.subarray(start, Math.min(end + 1, options.breaksAt ?? content.length)))
      await options.gate
      if (options.breaksAt !== undefined) throw new Failure(options.code ?? 'source.unreachable', 'it broke')
      return { bytes, expireInfo }
    },
  }
}

const request = (over: Partial<DownloadRequest> = {}): DownloadRequest => ({
  url: 'http://origin/file',
  headers: {},
  tag: '',
  application: '',
  filteredQueryParams: [],
  pieceLength: undefined,
  digest: undefined,
  range: undefined,
  output: join(dir, 'out'),
  originalOffset: false,
  rateLimitBytes: undefined,
  disableBackSource: false,
  needBackSource: false,
  inOrder: false,
  ...over,
})

const go = (from: Source, wish = request(), onlooker = {}) =>
  downloadDirectly(
    wish,
    { sources: { for: () => Promise.resolve(from) }, log: silentLog },
    new AbortController().signal,
    onlooker,
  )

test('the file is written, and nothing is left beside it', async () => {
  await go(source())
  expect(readFileSync(join(dir, 'out')).equals(content)).toBe(true)
  expect(readdirSync(dir)).toEqual(['out'])
})

test('what a broken download brought is kept for the next try, and only for it', async () => {
  await expect(go(source({ breaksAt: PIECE_LENGTH + 5 }))).rejects.toThrow('it broke')
  expect(readdirSync(dir)).toHaveLength(1)
  const result = await go(source())
  expect(result.tally).toMatchObject({ local: PIECE_LENGTH, fromSource: 100 })
  expect(readdirSync(dir)).toEqual(['out'])
})

test('a download that brought nothing, or cannot be tried again, leaves nothing', async () => {
  await expect(go(source({ breaksAt: 5 }))).rejects.toThrow('it broke')
  expect(readdirSync(dir)).toEqual([])
  await expect(go(source({ breaksAt: PIECE_LENGTH + 5, code: 'source.denied' }))).rejects.toThrow('it broke')
  expect(readdirSync(dir)).toEqual([])
})

test('two at once for one output: the second says so, and the first is not disturbed', async () => {
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const first = go(source({ gate }))
  while (!readdirSync(dir).some((name) => name.endsWith('.dfget'))) await new Promise(setImmediate)
  await expect(go(source())).rejects.toMatchObject({
    code: 'output.invalid',
    message: expect.stringContaining('right now'),
  })
  open()
  await first
  expect(readFileSync(join(dir, 'out')).equals(content)).toBe(true)
})

test('a reader who goes away ends the download', async () => {
  const gone = new Failure('output.invalid', 'nobody reads')
  const wish = request({ output: undefined, inOrder: true })
  const never = new Promise<void>(() => undefined)
  const write = (): Promise<void> => Promise.reject(gone)
  const endless: Source = {
    ...source(),
    async read(_, sink, { signal }) {
      await fill(sink, content.subarray(0, PIECE_LENGTH + 1))
      await Promise.race([
        never,
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      ])
      throw new Error('not reached')
    },
  }
  await expect(go(endless, wish, { write })).rejects.toMatchObject({ message: 'nobody reads' })
  expect(existsSync(join(dir, 'out'))).toBe(false)
})
