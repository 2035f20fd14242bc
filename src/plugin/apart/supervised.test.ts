import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Failure } from '#core'
import { encodeMessage, FRAME } from './frames.ts'
import type { Question } from './messages.ts'
import { Supervised, type SupervisedOptions } from './supervised.ts'
import { type TestChild, testChild } from './test-child.ts'

vi.setConfig({ testTimeout: 15_000 })

const PING: Question = { ask: 'ping' }
const HANGING: Question = { ask: 'download', request: { url: 'x://h/f', headers: {} } }
const { signal } = new AbortController()
const CRASH = { code: 'plugin.crashed', what: 'it fell over' } as const

interface Watched {
  readonly supervised: Supervised
  readonly warnings: string[]
  /** Processes that were started, and how many of them are told of as running. */
  readonly started: TestChild[]
  readonly running: () => number
}

/** Supervises processes that answer pings and nothing else. */
async function watched(options: Partial<SupervisedOptions> = {}, open = true): Promise<Watched> {
  const [warnings, started]: [string[], TestChild[]] = [[], []]
  let running = 0
  const start = async (): Promise<TestChild> => {
    const child = await testChild((socket) =>
      socket.once('data', (data) => {
        if (data.includes('ping')) socket.write(encodeMessage(FRAME.json, {}))
      }),
    )
    started.push(child)
    return child
  }
  const supervised = new Supervised({
    name: 'plugin x',
    start,
    memoryBytes: 2 ** 40,
    hangTimeoutMs: 60_000,
    crashes: 3,
    coolDownMs: 60_000,
    warn: (message) => void warnings.push(message),
    onStart: () => running++,
    onEnd: () => running--,
    ...options,
  })
  onTestFinished(() => supervised[Symbol.asyncDispose]())
  if (open) await supervised.open()
  return { supervised, warnings, started, running: () => running }
}

async function answered(supervised: Supervised): Promise<void> {
  const call = await supervised.ask(PING, signal)
  await call.message()
  call.close()
}

test('a process that ended is started anew when it is next asked, once for all who ask', async () => {
  const { supervised, started, warnings, running } = await watched()
  await answered(supervised)
  started[0]!.kill(CRASH)
  await expect.poll(running).toBe(0)
  expect(started.length).toBe(1)
  await Promise.all([answered(supervised), answered(supervised), answered(supervised)])
  expect([started.length, running()]).toEqual([2, 1])
  expect(warnings).toEqual(['plugin x: it fell over; it is started anew when it is needed'])
})

test('a process that is about to end is not asked any more, and counts as crashed before another one is started', async () => {
  const { supervised, started } = await watched({ crashes: 1 })
  started[0]!.ending = CRASH
  const asking = answered(supervised).catch((error: unknown) => error)
  await sleep(50)
  expect(started.length).toBe(1)
  started[0]!.kill(CRASH)
  expect(await asking).toMatchObject({ code: 'plugin.down' })
  expect(started.length).toBe(1)
})

test('too many crashes: every call fails at once, and says what the last one was and for how long', async () => {
  const { supervised, started, warnings } = await watched()
  for (let crash = 0; crash < 3; crash++) {
    await answered(supervised)
    started.at(-1)!.kill(CRASH)
    await started.at(-1)!.ended
  }
  await expect(answered(supervised)).rejects.toMatchObject({
    code: 'plugin.down',
    message: 'it crashed 3 times within a minute (it fell over) and is left alone for another 1m',
  })
  expect(started.length).toBe(3)
  expect(warnings.at(-1)).toBe('plugin x: it fell over; it is left alone for 1m')
})

test('after its time alone it is tried once, and one more crash leaves it alone again', async () => {
  const { supervised, started } = await watched({ crashes: 2, coolDownMs: 300 })
  for (let crash = 0; crash < 2; crash++) {
    await answered(supervised)
    started.at(-1)!.kill(CRASH)
    await started.at(-1)!.ended
  }
  await expect(answered(supervised)).rejects.toMatchObject({ code: 'plugin.down' })
  await sleep(350)
  await answered(supervised)
  started.at(-1)!.kill(CRASH)
  await started.at(-1)!.ended
  await expect(answered(supervised)).rejects.toMatchObject({ code: 'plugin.down' })
})

test('the pause after a crash is counted from the crash: who asks later does not wait again', async () => {
  const { supervised, started } = await watched({ crashes: 100 })
  for (let crash = 0; crash < 5; crash++) {
    await answered(supervised)
    started.at(-1)!.kill(CRASH)
    await started.at(-1)!.ended
  }
  await sleep(1700)
  const from = performance.now()
  await answered(supervised)
  expect(performance.now() - from).toBeLessThan(1000)
})

test('a start that fails is a crash with a reason, and is told as it is', async () => {
  let works = true
  const child = await testChild()
  const start = async (): Promise<TestChild> => {
    if (works) return child
    throw new Failure('plugin.broken', 'it lost its mind')
  }
  const { supervised, warnings, running } = await watched({ start, crashes: 3 })
  works = false
  child.kill(CRASH)
  await child.ended
  for (let attempt = 0; attempt < 2; attempt++)
    await expect(answered(supervised)).rejects.toMatchObject({ code: 'plugin.broken' })
  await expect(answered(supervised)).rejects.toThrow('it crashed 3 times within a minute (it lost its mind)')
  expect(warnings.length).toBe(3)
  expect(running()).toBe(0)
})

test('a call that is aborted does not wait for a start that takes its time', async () => {
  const child = await testChild()
  let starts = 0
  const start = (life: AbortSignal): Promise<TestChild> =>
    starts++ === 0
      ? Promise.resolve(child)
      : new Promise((_, reject) => life.addEventListener('abort', () => reject(new Error('let go of'))))
  const { supervised } = await watched({ start })
  child.kill(CRASH)
  await child.ended
  const abort = new AbortController()
  const asking = supervised.ask(PING, abort.signal)
  await expect.poll(() => starts).toBe(2)
  expect(supervised.idleMs).toBe(0)
  abort.abort()
  await expect(asking).rejects.toBe(abort.signal.reason)
  await sleep(5)
  expect(supervised.idleMs).toBeGreaterThan(0)
})

test('it is idle when nothing is under way, whatever became of the calls', async () => {
  const { supervised } = await watched()
  const large: Question = { ask: 'download', request: { url: 'x'.repeat(5 * 2 ** 20), headers: {} } }
  await expect(supervised.ask(large, signal)).rejects.toThrow('too large')
  await sleep(50)
  expect(supervised.idleMs).toBeGreaterThan(0)
  const call = await supervised.ask(HANGING, signal)
  await sleep(20)
  expect(supervised.idleMs).toBe(0)
  call.close()
  call.close()
  await sleep(20)
  expect(supervised.idleMs).toBeGreaterThan(0)
})

test.each(['the first start', 'a restart', 'the pause before it'])(
  'letting go ends %s, and does not wait for it',
  async (which) => {
    let starts = 0
    let given: AbortSignal | undefined
    const child = await testChild()
    const start = (life: AbortSignal): Promise<TestChild> => {
      given = life
      if (which !== 'the first start' && starts++ === 0) return Promise.resolve(child)
      return new Promise((_, reject) =>
        life.addEventListener('abort', () => reject(new Failure('plugin.crashed', 'it was let go of'))),
      )
    }
    const { supervised, running, warnings } = await watched({ start, crashes: 100 }, false)
    const opening = supervised.open()
    if (which === 'the first start') {
      const failing = expect(opening).rejects.toThrow('it was let go of')
      await supervised[Symbol.asyncDispose]()
      return failing
    }
    await opening
    child.kill(CRASH)
    await child.ended
    const asking = expect(supervised.ask(PING, signal)).rejects.toThrow('it was let go of')
    if (which === 'a restart') await expect.poll(() => starts).toBe(2)
    await supervised[Symbol.asyncDispose]()
    await asking
    expect(given?.aborted).toBe(true)
    expect([running(), warnings.length, supervised.pid]).toEqual([0, 1, undefined])
  },
)

test('once it was let go of, its process ends, its end is no crash, and nobody starts another', async () => {
  const { supervised, started, warnings, running } = await watched()
  const call = await supervised.ask(HANGING, signal)
  await Promise.all([supervised[Symbol.asyncDispose](), supervised[Symbol.asyncDispose]()])
  await expect(call.message()).rejects.toThrow('it was let go of')
  await expect(supervised.ask(PING, signal)).rejects.toThrow('it was let go of')
  expect([started.length, running(), warnings]).toEqual([1, 0, []])
})
