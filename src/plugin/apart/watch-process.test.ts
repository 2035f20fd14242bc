import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { encodeMessage, FRAME } from './frames.ts'
import { testChild } from './test-child.ts'
import { watchProcess } from './watch-process.ts'

const limits = { memoryBytes: 2 ** 40, hangTimeoutMs: 200 }

test('a process that nobody asks anything is left in peace; one that is asked must react', async () => {
  const child = await testChild()
  let busy = false
  watchProcess(child, limits, () => busy)
  await sleep(400)
  expect([child.made, child.ending]).toEqual([0, undefined])
  busy = true
  expect(await child.ended).toEqual({ code: 'plugin.hung', what: 'it did not react for 0.2 s and was ended' })
})

test('one that reacts is never ended, however long it is busy', async () => {
  const child = await testChild((socket) => void socket.write(encodeMessage(FRAME.json, {})))
  watchProcess(child, { ...limits, hangTimeoutMs: 5000 }, () => true)
  await expect.poll(() => child.made).toBeGreaterThan(0)
  expect(child.ending).toBeUndefined()
})

test('a process is not watched any more once its watcher was told to stop', async () => {
  const child = await testChild()
  watchProcess(child, limits, () => true)()
  await sleep(600)
  expect([child.made, child.ending]).toEqual([0, undefined])
})

test.runIf(process.platform === 'linux')(
  'a process that takes more memory than it may is ended, and told of both',
  async () => {
    const child = await testChild()
    watchProcess(child, { ...limits, memoryBytes: 2 ** 20 }, () => false)
    expect(await child.ended).toEqual({
      code: 'plugin.crashed',
      what: expect.stringMatching(/^it took .* of memory, more than the 1\.00 MiB it may, and was ended$/),
    })
  },
)
