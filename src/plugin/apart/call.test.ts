import { getEventListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Failure } from '#core'
import { type TestSink, testSink } from '#source'

import { ApartBody } from './apart-body.ts'
import { Call, ping } from './call.ts'
import { encodeHeader, encodeMessage, FRAME } from './frames.ts'
import type { PlainRequest, Question } from './messages.ts'
import { type TestChild, testChild } from './test-child.ts'

vi.setConfig({ testTimeout: 15_000 })

const request: PlainRequest = { url: 'x://host/f', headers: {} }
const QUESTIONS = {
  call: { ask: 'call', method: 'stat', request },
  download: { ask: 'download', request },
  list: { ask: 'list', request },
} as const satisfies Record<string, Question>

const json = (value: unknown): Buffer => encodeMessage(FRAME.json, value)
const bytes = (text: string): Buffer => Buffer.concat([encodeHeader(FRAME.bytes, text.length), Buffer.from(text)])
const end = encodeHeader(FRAME.end, 0)
const error = (said: unknown): Buffer => encodeMessage(FRAME.error, said)
const noJson = Buffer.concat([encodeHeader(FRAME.json, 3), Buffer.from('{a}')])

/** A process that answers every question with these bytes, and waits. */
function saying(...parts: readonly Buffer[]): Promise<TestChild> {
  return testChild((socket) => void socket.write(Buffer.concat(parts)))
}

interface Asked {
  readonly call: Call
  readonly abort: AbortController
  /** How often it was told that the call is over. */
  readonly closed: () => number
}

function asked(child: TestChild, question: Question = QUESTIONS.call): Asked {
  const abort = new AbortController()
  let closes = 0
  const call = new Call(child, question, { signal: abort.signal, onClose: () => closes++ })
  onTestFinished(() => call.close())
  return { call, abort, closed: () => closes }
}

function bodyOf(call: Call): ApartBody {
  return new ApartBody(call, { onBytes() {}, onEnd() {}, told: (failure) => failure })
}

/** Everything a call gives, whatever was asked. */
async function all({ call }: Asked, question: Question, sink: TestSink = testSink()): Promise<unknown[]> {
  const given: unknown[] = [await call.message()]
  if (question.ask === 'list') {
    for (let entry = given[0]; entry !== undefined; given.push(entry)) entry = await call.message()
  }
  if (question.ask !== 'download') return given.filter((one) => one !== undefined)
  await bodyOf(call).pour(sink)
  return [...given, sink.bytes.toString()]
}

test('answers, bodies and listings arrive, and a call is over once', async () => {
  for (const [question, said, given] of [
    [QUESTIONS.call, [json({ result: 1 })], [{ result: 1 }]],
    [
      QUESTIONS.download,
      [json({ status: 200 }), bytes('hello '), bytes('world'), end],
      [{ status: 200 }, 'hello world'],
    ],
    [QUESTIONS.download, [json({}), end], [{}, '']],
    [QUESTIONS.list, [json('a'), json(null), json('c'), end], ['a', null, 'c']],
    [QUESTIONS.list, [end], []],
  ] as const) {
    const one = asked(await saying(...said), question)
    expect(await all(one, question)).toEqual(given)
    one.call.close()
    one.call.close()
    expect(one.closed()).toBe(1)
  }
})

const LIES: [what: string, question: keyof typeof QUESTIONS, said: Buffer[]][] = [
  ['no frame', 'call', [Buffer.alloc(5, 0xff)]],
  ['an answer that is no JSON', 'call', [noJson]],
  ['bytes for an answer', 'call', [bytes('x')]],
  ['an end for an answer', 'call', [end]],
  ['a body without a head', 'download', [bytes('x'), end]],
  ['an end without a head', 'download', [end]],
  ['a second head', 'download', [json({}), bytes('x'), json({}), end]],
  [
    'bytes of nothing, for ever',
    'download',
    [json({}), ...Array.from({ length: 1000 }, () => encodeHeader(FRAME.bytes, 0))],
  ],
  ['an entry that is no JSON', 'list', [json('a'), noJson, json('c'), end]],
  ['bytes between entries', 'list', [json('a'), bytes('x'), end]],
  ['a message of nothing', 'list', [encodeHeader(FRAME.json, 0), end]],
]

test.each(LIES)('a process that sends %s (%s) does not keep the protocol, and its call fails', async (_, ask, said) => {
  const child = await saying(...said)
  const one = asked(child, QUESTIONS[ask])
  const failure = all(one, QUESTIONS[ask])
  await expect(failure).rejects.toMatchObject({
    code: 'plugin.crashed',
    message: 'it does not keep the protocol of its host',
  })
  expect(one.closed()).toBe(1)
  await expect.poll(() => child.open).toBe(0)
})

test('an error takes the place of whatever was due', async () => {
  for (const [question, said] of [
    [QUESTIONS.call, []],
    [QUESTIONS.download, []],
    [QUESTIONS.download, [json({}), bytes('ab')]],
    [QUESTIONS.list, [json('a')]],
  ] as const) {
    const thrown = { code: 'source.denied', message: 'no', retryAfterMs: 7, lasting: true }
    const one = asked(await saying(...said, error(thrown)), question)
    await expect(all(one, question)).rejects.toMatchObject(thrown)
  }
})

test.each(['plugin.down', 'plugin.refused', 'config.invalid', 'download.cancelled', 'internal', 'source.made_up', 7])(
  'the code %s is not for a plugin to give: what it threw is an error without one',
  async (code) => {
    const one = asked(await saying(error({ code, message: 'said' })))
    const failure: unknown = await one.call.message().catch((thrown: unknown) => thrown)
    expect(failure).toMatchObject({ message: 'said' })
    expect(failure).not.toBeInstanceOf(Failure)
    expect(failure).not.toHaveProperty('code')
  },
)

test('wrong options are what a plugin may say when it is opened, and then only', async () => {
  const question: Question = { ask: 'open', file: '/f', options: {}, scheme: 'x', deadlineMs: 1 }
  const one = asked(await saying(error({ code: 'config.invalid', message: 'plugins.x.key: is missing' })), question)
  await expect(one.call.message()).rejects.toMatchObject({ code: 'config.invalid' })
})

test.each([
  ['call', [json({ result: 1 })]],
  ['download', [json({}), bytes('ab'), bytes('c'), end]],
  ['list', [json('a'), json('b'), end]],
] as const)('%s: wherever a process breaks off, its call fails and says that it hung up', async (ask, parts) => {
  const said = Buffer.concat(parts)
  const cuts = Array.from({ length: said.length }, (_, cut) => cut)
  await Promise.all(
    cuts.map(async (cut) => {
      const child = await testChild((socket) => void socket.end(said.subarray(0, cut)))
      const one = asked(child, QUESTIONS[ask])
      await expect(all(one, QUESTIONS[ask])).rejects.toMatchObject({
        code: 'plugin.crashed',
        message: 'it hung up in the middle of an answer',
      })
      expect(one.closed()).toBe(1)
    }),
  )
})

test('a process that ends in the middle of an answer is the reason of the failure, in its own words', async () => {
  const child = await testChild((socket) => {
    socket.write(json({}))
    setTimeout(() => child.kill({ code: 'plugin.hung', what: 'it did not react' }), 20)
  })
  await expect(all(asked(child, QUESTIONS.download), QUESTIONS.download)).rejects.toMatchObject({
    code: 'plugin.hung',
    message: 'it did not react',
  })
})

test('a process that is gone before it is asked fails the call with the reason', async () => {
  const child = await testChild()
  child.kill({ code: 'plugin.crashed', what: 'its process ended (exit code 3)' })
  await expect(asked(child).call.message()).rejects.toThrow('its process ended (exit code 3)')
})

test('a call that is aborted fails at once with the reason, before it connects and after, and hangs up', async () => {
  const child = await testChild()
  const reason = new Error('enough')
  const early = new Call(child, QUESTIONS.call, { signal: AbortSignal.abort(reason), onClose() {} })
  await expect(early.message()).rejects.toBe(reason)
  const connecting = asked(child)
  connecting.abort.abort(reason)
  expect(connecting.closed()).toBe(1)
  await expect(connecting.call.message()).rejects.toBe(reason)
  const waiting = asked(child, QUESTIONS.download)
  await expect.poll(() => child.open).toBe(1)
  waiting.abort.abort(reason)
  await expect(waiting.call.message()).rejects.toBe(reason)
  await expect.poll(() => child.open).toBe(0)
})

test('a signal that outlives its calls keeps none of them', async () => {
  const child = await saying(json({ result: 1 }))
  const { signal } = new AbortController()
  for (let at = 0; at < 3; at++) {
    const call = new Call(child, QUESTIONS.call, { signal, onClose() {} })
    await call.message()
    call.close()
  }
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('a question that cannot be sent fails before anything is open, and is not counted as closed', async () => {
  const child = await testChild()
  const large: Question = { ...QUESTIONS.call, request: { url: 'x'.repeat(5 * 2 ** 20), headers: {} } }
  const { signal } = new AbortController()
  let closes = 0
  expect(() => new Call(child, large, { signal, onClose: () => closes++ })).toThrow('too large')
  await sleep(100)
  expect([child.made, closes]).toEqual([0, 0])
})

test('entries wait in the process until somebody takes them', async () => {
  let accepted = 0
  const entry = json('x'.repeat(100_000))
  const child = await testChild((socket) => {
    const more = (): void => {
      accepted++
      if (!socket.destroyed) socket.write(entry, more)
    }
    more()
  })
  const { call } = asked(child, QUESTIONS.list)
  await call.message()
  await sleep(200)
  expect(accepted).toBeLessThan(100)
})

test('property: however a body comes and is taken, its bytes arrive as they are, and no others', async () => {
  const arbitrary = fc.record({
    frames: fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 9000 })), { minLength: 1, maxLength: 6 }),
    writes: fc.array(fc.integer({ min: 20, max: 20_000 }), { minLength: 1, maxLength: 5 }),
    spaces: fc.array(fc.integer({ min: 1, max: 7000 }), { minLength: 3, maxLength: 5 }),
    rests: fc.array(fc.constantFrom(undefined, undefined, undefined, 0), { minLength: 5, maxLength: 9 }),
    waitMs: fc.constantFrom(undefined, 0, 5),
    said: fc.constantFrom('nothing', 'right', 'less'),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ frames, writes, spaces, rests, waitMs, said }) => {
      const body = Buffer.alloc(frames.reduce((sum, length) => sum + length, 0)).map((_, at) => at % 251)
      const parts = [json({})]
      let at = 0
      for (const length of frames) {
        parts.push(encodeHeader(FRAME.bytes, length), Buffer.from(body.subarray(at, at + length)))
        at += length
      }
      const stream = Buffer.concat([...parts, end])
      const child = await testChild((socket) => void trickle(stream, writes, (part) => socket.write(part)))
      let [space, rest] = [0, 0]
      const sink = testSink({
        spaceBytes: () => spaces[space++ % spaces.length]!,
        restMs: () => rests[rest++ % rests.length],
      })
      const { call } = asked(child, QUESTIONS.download)
      await call.message()
      if (waitMs !== undefined) await sleep(waitMs)
      const due = said === 'nothing' ? undefined : said === 'right' ? body.length : body.length - 1
      const pouring = bodyOf(call).pour(sink, due)
      if (said === 'less') {
        await expect(pouring).rejects.toThrow(`more than the ${due} bytes announced`)
        expect(sink.bytes.equals(body.subarray(0, Math.max(0, body.length - 2)))).toBe(true)
      } else {
        expect(await pouring).toBe(body.length)
        expect(sink.bytes.equals(body)).toBe(true)
      }
      await child.close()
    }),
    { numRuns: 50 },
  )
})

async function trickle(stream: Buffer, sizes: readonly number[], write: (part: Buffer) => void): Promise<void> {
  let turn = 0
  for (let at = 0; at < stream.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    write(stream.subarray(at, at + size))
    at += size
    if (turn % 3 === 0) await new Promise(setImmediate)
  }
}

test('chunks of a body are memory of their own', async () => {
  const { call } = asked(await saying(json({}), bytes('aaa'), bytes('bbb'), end), QUESTIONS.download)
  await call.message()
  const chunks: Uint8Array[] = []
  for await (const chunk of bodyOf(call)) chunks.push(chunk)
  expect(Buffer.concat(chunks).toString()).toBe('aaabbb')
})

test('where no byte was announced, none is given', async () => {
  const { call } = asked(await saying(json({}), bytes('x'), end), QUESTIONS.download)
  await call.message()
  const sink = testSink({ spaceBytes: () => 1 })
  await expect(bodyOf(call).pour(sink, 0)).rejects.toThrow('more than the 0 bytes announced')
  expect(sink.bytes.length).toBe(0)
})

test('a process that answers a ping reacts; one that is silent for too long does not', async () => {
  expect(await ping(await saying(json({})), 5000)).toBe(true)
  expect(await ping(await testChild(), 100)).toBe(false)
})

test('a host that was stopped itself does not take its own sleep for that of a plugin', async () => {
  const child = await testChild((socket) => {
    socket.write(json({}))
    const until = performance.now() + 200
    while (performance.now() < until);
  })
  expect(await ping(child, 50)).toBe(true)
})
