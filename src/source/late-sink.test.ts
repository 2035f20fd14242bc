import { expect, test } from 'vitest'
import { LateSink } from './late-sink.ts'
import { testSink } from './test-sink.ts'

/** Puts a text where the next bytes belong, as a socket does: some time after it was told where. */
function land(space: Uint8Array, text: string): number {
  space.set(Buffer.from(text))
  return text.length
}

test('bytes that land where they were told to before the sink came are not lost', async () => {
  const late = new LateSink()
  expect(late.filled(land(late.space(), 'abc'))).toBe(false)
  const space = late.space() // of a read that is under way
  const sink = testSink()
  late.attach(sink)
  await late.drained()
  expect(sink.bytes.toString()).toBe('abc')
  const length = land(space, 'de')
  expect(late.space()).toBe(space) // who looks at the bytes before it hands them over finds them
  late.filled(length)
  expect(late.full).toBe(false)
  await late.flush() // a giver that has given all does not wait
  expect(sink.bytes.toString()).toBe('abcde')
  expect(late.filled(land(late.space(), 'f'))).toBe(true)
  expect(sink.bytes.toString()).toBe('abcdef')
})

test('who waits goes on when the sink has come, at its pace', async () => {
  const late = new LateSink()
  late.filled(land(late.space(), 'abcdefgh'))
  let waited = true
  const waiting = late.drained().then(() => (waited = false))
  await new Promise((resolve) => setImmediate(resolve))
  expect(waited).toBe(true)
  const sink = testSink({ capacity: 8, spaceBytes: () => 3, restMs: () => 1 })
  late.attach(sink)
  await waiting
  expect(sink.bytes.toString()).toBe('abcdefgh')
  expect(late.full).toBe(true)
})

test('what a sink throws is told to who waits', async () => {
  const late = new LateSink()
  late.filled(land(late.space(), 'abc'))
  const broken = testSink()
  broken.filled = () => {
    throw new Error('disk full')
  }
  late.attach(broken)
  await expect(late.drained()).rejects.toThrow('disk full')
})
