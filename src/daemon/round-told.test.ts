import { expect, test } from 'vitest'
import type { StoredTask } from '#storage'
import type { Announced, SyncAsk } from './from-parent.ts'
import { toldBy } from './round-told.ts'
import { parent } from './swarm-fixture.ts'

const PIECES = 5000

const told = (number: number): Announced => ({
  number,
  offset: number * 1024,
  length: 1024,
  ip: '127.0.0.1',
  port: 1,
  record: undefined,
})

/** A task of unknown length, of which so much is known as the test says. */
function asking(tell: (ask: SyncAsk) => Iterable<number>) {
  const asked: (readonly number[])[] = []
  const state = { known: 0, pieceCount: undefined as number | undefined, wanted: { first: 0, last: undefined } }
  const meta = { taskId: 'a'.repeat(64), version: 'v1' }
  const task = {
    meta,
    piece: () => undefined,
    get pieceCount() {
      return state.pieceCount
    },
  } as unknown as StoredTask
  const link = {
    async *sync(_: unknown, ask: SyncAsk) {
      asked.push(ask.numbers ?? [])
      for (const number of tell(ask)) yield told(number)
    },
  }
  const over = new AbortController()
  const deps = { link, known: () => state.known, wanted: () => state.wanted, inOrder: () => false }
  const heard: number[] = []
  const listen = async (believe = (): void => undefined): Promise<void> => {
    for await (const { number } of toldBy(parent('a'), task, deps, over.signal)) {
      heard.push(number)
      believe()
    }
  }
  return { state, asked, heard, listen, over }
}

const has = (count: number) => (ask: SyncAsk) => (ask.numbers ?? []).filter((number) => number < count)

test('of a task of unknown length little is heard of what a parent makes up', async () => {
  const at = asking(() => Array.from({ length: 100_000 }, (_, number) => number))
  const listening = at.listen()
  await expect.poll(() => at.heard.length).toBeGreaterThan(1000)
  await new Promise((resolve) => setTimeout(resolve, 50))
  at.over.abort()
  await listening
  expect(at.heard.length).toBeLessThan(2000)
})

test('what is true is heard all the same, however long the content turns out to be', async () => {
  const at = asking(has(PIECES))
  await at.listen(() => at.state.known++)
  expect(at.heard).toEqual(Array.from({ length: PIECES }, (_, number) => number))
  expect(at.asked.length).toBeLessThan(6)
})

test('once the length is known the rest is heard at once, and then no more is asked', async () => {
  const at = asking(has(PIECES))
  const listening = at.listen()
  await expect.poll(() => at.heard.length).toBeGreaterThan(1000)
  at.state.pieceCount = PIECES
  await listening
  expect(at.heard).toHaveLength(PIECES)
  expect(at.asked).toHaveLength(2)
})

test('a parent that ends with less than it was asked about has told all, and nobody waits for more', async () => {
  const at = asking(has(3))
  await at.listen()
  expect([at.heard, at.asked.length]).toEqual([[0, 1, 2], 1])
})

test('what is wanted is heard of, also far behind the start', async () => {
  const at = asking(has(10_000))
  Object.assign(at.state.wanted, { first: 9000, last: 9001 })
  const listening = at.listen()
  await expect.poll(() => at.heard).toContain(9001)
  at.over.abort()
  await listening
})
