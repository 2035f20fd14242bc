import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ByteRange, Failure, type FailureCode, fill } from '#core'
import type { ExpireInfo } from './contract.ts'
import { sourceFailure } from './source-failure.ts'
import { SourceError } from './source-error.ts'
import type { ReadRequest, Source } from './source.ts'
import { type TestSink, testSink } from './test-sink.ts'
import { type RetryPolicy, withRetry } from './with-retry.ts'

const request: ReadRequest = { url: 'x://host/file', headers: {} }
const { signal } = new AbortController()
const policy: RetryPolicy = { attempts: 10, probeAttempts: 4, firstDelayMs: 0.1, maxDelayMs: 1 }

/** One version of a resource. */
interface Version {
  readonly content: Buffer
  readonly expireInfo?: ExpireInfo
}

interface Script {
  /** What stands at the origin at each read; the last one stays. */
  readonly versions: readonly Version[]
  readonly ranges: boolean
  readonly knowsLength?: boolean
  /** Bytes after which each read breaks; reads beyond the list go well. */
  readonly breaks: readonly number[]
  readonly code?: FailureCode
}

/** A source that breaks by a script, and notes what it was asked. */
function scripted(script: Script): Source & { reads: (ByteRange | undefined)[] } {
  const reads: (ByteRange | undefined)[] = []
  const { versions, ranges, breaks, knowsLength = true, code = 'source.unreachable' } = script
  return {
    scheme: 'x',
    reads,
    local: () => false,
    describe: () => Promise.reject(new Error('not asked here')),
    isExpired: () => Promise.reject(new Error('not asked here')),
    async read(_request, sink, options) {
      const { range } = options
      const round = reads.push(range) - 1
      const { content, expireInfo = {} } = versions[Math.min(round, versions.length - 1)] ?? {
        content: Buffer.alloc(0),
      }
      if (range !== undefined && range.end >= content.length)
        throw new Failure('source.range_invalid', 'beyond the end')
      const body = range === undefined ? content : content.subarray(range.start, range.end + 1)
      options.onAnswer?.({
        expireInfo,
        totalLength: knowsLength ? content.length : undefined,
        supportsRange: ranges || undefined,
      })
      const breakAt = breaks[round]
      await fill(sink, body.subarray(0, breakAt))
      if (breakAt !== undefined && breakAt < body.length) throw new Failure(code, `broke after ${breakAt}`)
      return { bytes: body.length, expireInfo }
    },
  }
}

async function outcome(source: Source, range?: ByteRange): Promise<{ sink: TestSink; error: unknown }> {
  const sink = testSink({ spaceBytes: () => 7 })
  const options = { signal, ...(range === undefined ? {} : { range }) }
  const error = await withRetry(source, policy)
    .read(request, sink, options)
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  return { sink, error }
}

const content = Buffer.from('0123456789abcdefghijklmnopqrstuvwxyz')
const other = Buffer.from('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ')
const etag = { etag: '"1"' }

test('what breaks is resumed at the byte where it broke', async () => {
  const source = scripted({ versions: [{ content, expireInfo: etag }], ranges: true, breaks: [10, 5] })
  const { sink, error } = await outcome(source)
  expect(error).toBeUndefined()
  expect(sink.bytes).toEqual(content)
  expect(source.reads).toEqual([undefined, { start: 10, end: 35 }, { start: 15, end: 35 }])
})

test('a range that breaks is resumed within the range', async () => {
  const source = scripted({ versions: [{ content, expireInfo: etag }], ranges: true, breaks: [3] })
  const { sink } = await outcome(source, { start: 10, end: 19 })
  expect(sink.bytes.toString()).toBe('abcdefghij')
  expect(source.reads[1]).toEqual({ start: 13, end: 19 })
})

test('without ranges it is read again, and what was given is proved the same and left out', async () => {
  const source = scripted({ versions: [{ content }], ranges: false, knowsLength: false, breaks: [10, 4, 20] })
  const { sink, error } = await outcome(source)
  expect(error).toBeUndefined()
  expect(sink.bytes).toEqual(content)
  expect(source.reads).toEqual([undefined, undefined, undefined, undefined])
})

test('ranges without validators are not trusted to be of one version: the start is read again', async () => {
  const source = scripted({ versions: [{ content }], ranges: true, breaks: [20] })
  expect((await outcome(source)).sink.bytes).toEqual(content)
  expect(source.reads).toEqual([undefined, undefined])
})

test('weak validators do not join two answers either', async () => {
  const source = scripted({ versions: [{ content, expireInfo: { etag: 'W/"1"' } }], ranges: true, breaks: [20] })
  await outcome(source)
  expect(source.reads).toEqual([undefined, undefined])
})

test('another version after a break is source.changed, whatever the origin tells about versions', async () => {
  for (const [one, two] of [
    [etag, { etag: '"2"' }],
    [{}, {}],
    [{ lastModified: 'Mon, 02 Jan 2006 15:04:05 GMT' }, { lastModified: 'Mon, 02 Jan 2006 15:04:06 GMT' }],
  ] as const) {
    for (const ranges of [true, false]) {
      const versions = [
        { content, expireInfo: one },
        { content: other, expireInfo: two },
      ]
      const { sink, error } = await outcome(scripted({ versions, ranges, breaks: [20] }))
      expect(error).toMatchObject({ code: 'source.changed' })
      expect(sink.bytes).toEqual(content.subarray(0, 20))
    }
  }
})

test('a resource that shrank is never taken for the rest of the first one', async () => {
  const short = { content: content.subarray(0, 15), expireInfo: etag }
  for (const [ranges, code] of [
    [true, 'source.broken'], // the origin refuses the range for the rest, though it claims the same version
    [false, 'source.changed'],
  ] as const) {
    const { sink, error } = await outcome(
      scripted({ versions: [{ content, expireInfo: etag }, short], ranges, breaks: [20] }),
    )
    expect(error).toMatchObject({ code })
    expect(sink.bytes.length).toBe(20)
  }
})

test('a rest that comes without the validators of the first part is refused', async () => {
  const versions = [{ content, expireInfo: etag }, { content: other }]
  const { sink, error } = await outcome(scripted({ versions, ranges: true, breaks: [20] }))
  expect(error).toMatchObject({ code: 'source.broken' })
  expect(sink.bytes.length).toBe(20)
})

test('new bytes start the count anew; without any the tries come to an end', async () => {
  const slow = scripted({
    versions: [{ content, expireInfo: etag }],
    ranges: true,
    breaks: content.toJSON().data.map(() => 1),
  })
  expect((await outcome(slow)).sink.bytes).toEqual(content)
  const dead = scripted({ versions: [{ content }], ranges: true, breaks: Array.from({ length: 99 }, () => 0) })
  expect((await outcome(dead)).error).toMatchObject({ code: 'source.unreachable' })
  expect(dead.reads).toHaveLength(policy.attempts)
})

test('nonsense from the start is given up sooner than silence', async () => {
  const breaks = Array.from({ length: 99 }, () => 0)
  const source = scripted({ versions: [{ content }], ranges: true, breaks, code: 'source.broken' })
  await outcome(source)
  expect(source.reads).toHaveLength(policy.probeAttempts)
})

test('what no second try can mend is not tried twice', async () => {
  for (const code of [
    'source.not_found',
    'source.denied',
    'source.range_invalid',
    'source.changed',
    'piece.corrupt',
    'storage.full',
  ] as const) {
    let tries = 0
    const failing = { ...scripted({ versions: [], ranges: true, breaks: [] }) }
    failing.read = async () => {
      tries++
      throw new Failure(code, 'no')
    }
    expect((await outcome(failing)).error).toMatchObject({ code })
    expect(tries).toBe(1)
  }
})

test('a bug is not retried', async () => {
  const failing = { ...scripted({ versions: [], ranges: true, breaks: [] }) }
  let tries = 0
  failing.read = async () => {
    tries++
    throw new TypeError('bug')
  }
  expect((await outcome(failing)).error).toBeInstanceOf(TypeError)
  expect(tries).toBe(1)
})

test('questions are tried again, but not for long', async () => {
  let tries = 0
  const source = { ...scripted({ versions: [], ranges: true, breaks: [] }) }
  source.describe = async () => {
    tries++
    throw new Failure('source.unreachable', 'down')
  }
  await expect(withRetry(source, policy).describe(request, signal)).rejects.toMatchObject({
    code: 'source.unreachable',
  })
  expect(tries).toBe(policy.probeAttempts)
})

test('an abort ends the pause at once', async () => {
  const abort = new AbortController()
  const source = scripted({ versions: [{ content }], ranges: true, breaks: [0, 0, 0] })
  const slow = withRetry(source, { ...policy, firstDelayMs: 1e6, maxDelayMs: 1e6 })
  const reading = slow.read(request, testSink(), { signal: abort.signal })
  setTimeout(() => abort.abort(new Failure('download.timeout', 'enough')), 5)
  await expect(reading).rejects.toMatchObject({ code: 'download.timeout' })
})

test('an origin that asks for time gets it, but not without bounds', async () => {
  const busy = new SourceError('source.unreachable', 'busy', { retryAfterMs: 50 })
  const calm = scripted({ versions: [{ content }], ranges: true, breaks: [] })
  const source = { ...calm }
  let tries = 0
  source.read = async (...args) => {
    if (tries++ === 0) throw sourceFailure(busy, { name: 'x', inTree: true, url: request.url })
    return calm.read(...args)
  }
  const before = performance.now()
  expect((await outcome(source)).error).toBeUndefined()
  expect(performance.now() - before).toBeGreaterThanOrEqual(45)
})

test('onAnswer is told once, and what it throws ends the read', async () => {
  const source = withRetry(
    scripted({ versions: [{ content, expireInfo: etag }], ranges: true, breaks: [5, 5] }),
    policy,
  )
  const answers: unknown[] = []
  await source.read(request, testSink(), { signal, onAnswer: (answer) => void answers.push(answer) })
  expect(answers).toEqual([{ expireInfo: etag, totalLength: 36, supportsRange: true }])
  const onAnswer = (): never => {
    throw new Failure('usage.invalid', 'not this one')
  }
  await expect(source.read(request, testSink(), { signal, onAnswer })).rejects.toMatchObject({ code: 'usage.invalid' })
})

test('property: whatever breaks and changes, what was given is the beginning of one single version', async () => {
  const arbitrary = fc.record({
    contents: fc.array(fc.string({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 }),
    tags: fc.array(fc.option(fc.constantFrom('"a"', '"b"', 'W/"a"'), { nil: undefined }), {
      minLength: 4,
      maxLength: 4,
    }),
    ranges: fc.boolean(),
    knowsLength: fc.boolean(),
    breaks: fc.array(fc.nat(40), { maxLength: 6 }),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ contents, tags, ranges, knowsLength, breaks }) => {
      // An honest origin: two contents never share a strong ETag.
      const versions = contents.map((text, at) => {
        const tag = tags[at]
        const strong = tag === undefined || tag.startsWith('W/') ? tag : `"${Buffer.from(text).toString('hex')}"`
        return { content: Buffer.from(text), ...(strong === undefined ? {} : { expireInfo: { etag: strong } }) }
      })
      const { sink, error } = await outcome(scripted({ versions, ranges, knowsLength, breaks }))
      const { bytes } = sink
      if (error === undefined) expect(versions.some(({ content }) => content.equals(bytes))).toBe(true)
      else {
        expect(error).toBeInstanceOf(Failure)
        expect(versions.some(({ content }) => content.subarray(0, bytes.length).equals(bytes))).toBe(true)
      }
    }),
    { numRuns: 500 },
  )
})

test.each(['plugin.crashed', 'plugin.hung'] as const)(
  'a plugin that fails with %s before it gave a byte is not tried as often as an origin that does not answer',
  async (code) => {
    const breaks = Array.from({ length: 20 }, () => 0)
    const source = scripted({ versions: [{ content }], ranges: false, breaks, code })
    expect((await outcome(source)).error).toMatchObject({ code })
    expect(source.reads.length).toBe(policy.probeAttempts)
    const later = scripted({ versions: [{ content }], ranges: false, breaks: [0, 0, 0, 9, 0, 0], code })
    expect((await outcome(later)).error).toBeUndefined()
  },
)
