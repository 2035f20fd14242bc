import type { Http2Stream } from 'node:http2'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { framed } from './frames.ts'
import { eachOf, Incoming } from './incoming.ts'

/** Messages of one byte, or of more. */
function stream() {
  const wire = new PassThrough()
  let left = 0
  const decode = (bytes: Uint8Array): number => {
    if (bytes[0] === 99) throw new Error('no such message')
    return bytes[0] ?? -1
  }
  const messages = new Incoming(wire as unknown as Http2Stream, decode, { maxBytes: 1000, left: () => left++ })
  const say = (...numbers: number[]): void =>
    void wire.write(Buffer.concat(numbers.map((number) => framed(Uint8Array.of(number, 0, 0)))))
  return { wire, messages, say, left: () => left }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('each message is taken once, in its order, those too that came before anybody took them', async () => {
  const { messages, say } = stream()
  say(1, 2)
  await turn()
  const taken: number[] = []
  const over = eachOf(messages, (message) => taken.push(message) > 100)
  say(3)
  await turn()
  say(4, 5)
  await turn()
  expect(taken).toEqual([1, 2, 3, 4, 5])
  messages.finish()
  await over
})

test('a message that comes in pieces is taken when it is whole', async () => {
  const { wire, messages, say } = stream()
  const taken: number[] = []
  void eachOf(messages, (message) => taken.push(message) > 100)
  const bytes = framed(Uint8Array.of(7, 0, 0))
  wire.write(bytes.subarray(0, 3))
  await turn()
  wire.write(bytes.subarray(3, 6))
  await turn()
  expect([taken, messages.cut]).toEqual([[], true])
  wire.write(Buffer.concat([bytes.subarray(6), bytes, bytes.subarray(0, 7)]))
  await turn()
  wire.write(bytes.subarray(7))
  say(8)
  await turn()
  expect([taken, messages.cut]).toEqual([[7, 7, 7, 8], false])
})

test('whoever has enough, or fails, is given nothing more', async () => {
  const enough = stream()
  const taken: number[] = []
  const over = eachOf(enough.messages, (message) => taken.push(message) === 2)
  enough.say(1, 2, 3)
  enough.say(4)
  await over
  await turn()
  expect([taken, enough.left()]).toEqual([[1, 2], 1])

  const failing = stream()
  let calls = 0
  const failed = eachOf(failing.messages, () => {
    calls++
    throw new Error('it broke')
  })
  failing.say(1, 2)
  await expect(failed).rejects.toThrow('it broke')
  await turn()
  expect([calls, failing.left()]).toEqual([1, 1])
})

test('a message that cannot be read, and a stream that breaks, fail the taking after what came before', async () => {
  const unreadable = stream()
  const taken: number[] = []
  const failed = eachOf(unreadable.messages, (message) => taken.push(message) > 100)
  unreadable.say(1, 99, 2)
  await expect(failed).rejects.toThrow('no such message')
  const broken = stream()
  broken.say(5)
  await turn()
  broken.messages.finish(new Error('cut off'))
  await expect(eachOf(broken.messages, (message) => taken.push(message) > 100)).rejects.toThrow('cut off')
  expect(taken).toEqual([1, 5])
})
