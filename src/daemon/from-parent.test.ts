import { expect, test } from 'vitest'
import { BLOCK_LENGTH, fill } from '#core'
import { Doubted, fetchBlocks, fetchFromParent } from './from-parent.ts'
import {
  bytesOf,
  contentOf,
  metaOf,
  newReader,
  parent,
  PIECE_LENGTH,
  recordOf,
  TASK_ID,
  tempStore,
} from './swarm-fixture.ts'

const content = contentOf(PIECE_LENGTH)
const record = recordOf(content, 0, newReader())
const limit = <T>(sink: T): T => sink
const onNearly = (): void => undefined
const nobody = { sync: () => never(), fetch: never, openBlocks: never }
const part = (from: number, to: number): Buffer => content.subarray(from * BLOCK_LENGTH, to * BLOCK_LENGTH)

function never(): never {
  throw new Error('nobody asks for this')
}

test('who sends the right bytes is not told to have lied, nor to have sent too few, when a reader doubts what is here', async () => {
  await using store = await tempStore()
  const task = await store.open(metaOf(content.length))
  const doubt = () => store.verify(TASK_ID)
  const halfWay = (first: number, count: number) => ({
    async ask(_: unknown, sink: () => Parameters<typeof fill>[0]) {
      const at = sink()
      await fill(at, part(first, first + 1))
      await expect.poll(() => task.blocks(0)?.has(first)).toBe(true)
      await doubt()
      await fill(at, part(first + 1, first + count))
    },
    close: () => undefined,
  })
  const ask = { piece: 0, first: 2, count: 3, member: 'a', bytes: 3 * BLOCK_LENGTH, askedAtMs: 0 }
  await expect(fetchBlocks(task, ask, record, halfWay(2, 3), { limit, onNearly })).rejects.toBeInstanceOf(Doubted)
  expect([3, 4].map((index) => task.blocks(0)?.has(index))).toEqual([true, true])

  const announced = { number: 0, offset: 0, length: PIECE_LENGTH, ip: '127.0.0.1', port: 1, record }
  const fetch = async (
    _: unknown,
    sink: (claim: { offset: number; length: number; crc32: undefined }) => Parameters<typeof fill>[0],
  ) => {
    const at = sink({ offset: 0, length: PIECE_LENGTH, crc32: undefined })
    await fill(at, part(0, 6))
    await expect.poll(() => task.blocks(0)?.has(5)).toBe(true)
    await doubt()
    await fill(at, part(6, 8))
  }
  const whole = () =>
    fetchFromParent(
      task,
      parent('a'),
      announced,
      record,
      { link: { ...nobody, fetch }, limit },
      AbortSignal.timeout(60_000),
    )
  await expect(whole()).rejects.toBeInstanceOf(Doubted)
  await fetchBlocks(
    task,
    { ...ask, first: 0, count: 8, bytes: PIECE_LENGTH },
    record,
    {
      async ask(_, sink) {
        await fill(sink(), content)
      },
      close: () => undefined,
    },
    { limit, onNearly },
  )
  expect((await bytesOf(task)).equals(content)).toBe(true)
})

test('shortly before an answer ends its asker is told, once', async () => {
  await using store = await tempStore()
  const task = await store.open(metaOf(content.length))
  const ask = { piece: 0, first: 0, count: 2, member: 'a', bytes: 2 * BLOCK_LENGTH, askedAtMs: 0 }
  const toldAt: number[] = []
  let given = 0
  const channel = {
    async ask(_: unknown, sink: () => Parameters<typeof fill>[0]) {
      const at = sink()
      const step = BLOCK_LENGTH / 16
      for (; given < ask.bytes; given += step) await fill(at, content.subarray(given, given + step))
    },
    close: () => undefined,
  }
  await fetchBlocks(task, ask, record, channel, { limit, onNearly: () => toldAt.push(given) })
  expect(toldAt).toHaveLength(1)
  expect(toldAt[0]).toBeGreaterThan(ask.bytes / 2)
  expect(toldAt[0]).toBeLessThan(ask.bytes - BLOCK_LENGTH / 16)
})
