import { expect, test } from 'vitest'
import { fill } from '#core'
import { orAbort } from './abort.ts'
import type { Source } from './source.ts'
import { testSink } from './test-sink.ts'
import { withDeadline } from './with-deadline.ts'
import { withIdleTimeout } from './with-idle-timeout.ts'

const request = { url: 'x://user:secret@host/file', headers: {} }
const { signal } = new AbortController()
const never = new Promise<never>(() => undefined)

function source(parts: Partial<Source>): Source {
  return {
    scheme: 'x',
    local: () => false,
    describe: (_request, signal) => orAbort(never, signal),
    isExpired: (_request, _info, signal) => orAbort(never, signal),
    read: (_request, _sink, { signal }) => orAbort(never, signal),
    ...parts,
  }
}

test('a question without an answer ends with source.unreachable', async () => {
  const limited = withDeadline(source({}), 20)
  const expected = { code: 'source.unreachable', message: 'x://host/file did not answer within 20ms' }
  await expect(limited.describe(request, signal)).rejects.toMatchObject(expected)
  await expect(limited.isExpired(request, {}, signal)).rejects.toMatchObject(expected)
})

test('a read to which no byte comes ends with source.unreachable', async () => {
  const limited = withIdleTimeout(source({}), 20)
  await expect(limited.read(request, testSink(), { signal })).rejects.toMatchObject({ code: 'source.unreachable' })
})

test('as long as bytes come, a read may take any time', async () => {
  const read: Source['read'] = async (_request, sink, { signal }) => {
    for (let at = 0; at < 10; at++) {
      await new Promise((resolve) => setTimeout(resolve, 40))
      signal.throwIfAborted()
      await fill(sink, new Uint8Array(1))
    }
    return { bytes: 10, expireInfo: {} }
  }
  await expect(withIdleTimeout(source({ read }), 200).read(request, testSink(), { signal })).resolves.toMatchObject({
    bytes: 10,
  })
})

test('a sink that takes its time is not the fault of the source', async () => {
  const read: Source['read'] = async (_request, sink, { signal }) => {
    for (let at = 0; at < 3; at++) await fill(sink, new Uint8Array(1))
    signal.throwIfAborted()
    return { bytes: 3, expireInfo: {} }
  }
  const sink = testSink({ restMs: () => 100 })
  await expect(withIdleTimeout(source({ read }), 30).read(request, sink, { signal })).resolves.toMatchObject({
    bytes: 3,
  })
})

test('empty chunks do not count as progress', async () => {
  const read: Source['read'] = async (_request, sink, { signal }) => {
    for (;;) {
      sink.space()
      sink.filled(0)
      await orAbort(new Promise((resolve) => setTimeout(resolve, 5)), signal)
    }
  }
  const limited = withIdleTimeout(source({ read }), 40)
  await expect(limited.read(request, testSink(), { signal })).rejects.toMatchObject({ code: 'source.unreachable' })
})
