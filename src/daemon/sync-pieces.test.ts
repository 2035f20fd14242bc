import { expect, test, vi } from 'vitest'
import type { SyncPiecesResponse } from '#api'
import { blockCount, fill } from '#core'
import type { StoredTask, TaskStore } from '#storage'
import { Handouts } from './handouts.ts'
import { contentOf, metaOf, newReader, PIECE_LENGTH, recordOf, TASK_ID, tempStore } from './swarm-fixture.ts'
import { paceMs, syncPieces } from './sync-pieces.ts'

const content = contentOf(3 * PIECE_LENGTH + 1000)
const seed = newReader()
const signed = (number: number) => recordOf(content, number, seed)

interface Asking {
  readonly speaksBlocks?: boolean
  readonly inOrder?: boolean
  readonly numbers?: readonly number[]
}

/** A parent, and children that ask it. */
async function parentOf(bytes: Buffer = content) {
  const store = await tempStore()
  const task = await store.open(metaOf(bytes.length))
  const handouts = new Handouts()
  const over = new AbortController()
  const state = { running: true, sentAlong: 0 }
  const deps = {
    store: store as Pick<TaskStore, 'get'>,
    handouts,
    isRunning: () => state.running,
    ip: '127.0.0.1',
    port: 4005,
    sent: (length: number) => void (state.sentAlong += length),
  }
  const ask = ({ speaksBlocks = true, inOrder = false, numbers }: Asking = {}) => {
    const request = {
      hostId: 'child',
      taskId: TASK_ID,
      version: 'v1',
      interestedPieceNumbers: [...(numbers ?? [])],
      allPieces: numbers === undefined,
      speaksBlocks,
      inOrder,
    }
    return syncPieces(request, deps, over.signal)
  }
  const child = (asking?: Asking) => new Child(ask(asking))
  return {
    task,
    handouts,
    state,
    ask,
    child,
    async [Symbol.asyncDispose]() {
      over.abort()
      await store[Symbol.asyncDispose]()
    },
  }
}

/** Takes what it is told as it comes. */
class Child {
  readonly told: SyncPiecesResponse[] = []
  over = false

  constructor(messages: AsyncIterable<SyncPiecesResponse>) {
    void this.#listen(messages)
  }

  async #listen(messages: AsyncIterable<SyncPiecesResponse>): Promise<void> {
    for await (const message of messages) this.told.push(message)
    this.over = true
  }

  get numbers(): number[] {
    return this.told.map(({ number }) => number)
  }
}

async function takeBlocks(task: StoredTask, number: number, first: number, count: number): Promise<void> {
  await using writer = task.writeBlocks({ record: signed(number), first, count, parentId: 'somebody' })
  const start = number * PIECE_LENGTH + first * 512 * 1024
  await fill(writer, content.subarray(start, start + count * 512 * 1024))
  await writer.end()
}

async function readOrigin(task: StoredTask, bytes: Buffer = content): Promise<void> {
  await using writer = task.write({
    first: 0,
    from: { traffic: 'source' },
    sign: ({ number }) => ({
      signer: seed.hostId,
      signature: recordOf(bytes, number, seed).signature,
      contentLength: bytes.length,
    }),
  })
  await fill(writer, bytes)
  await writer.end({ eof: true })
}

test('blocks of a piece are told as they come, the record with the first of them, and the whole piece at last', async () => {
  await using parent = await parentOf()
  const child = parent.child()
  await takeBlocks(parent.task, 1, 2, 1)
  await expect
    .poll(() => child.told)
    .toMatchObject([{ number: 1, heldBlocks: Uint8Array.of(0b100), speaksBlocks: true }])
  expect(Buffer.from(child.told[0]?.record?.signature ?? [])).toEqual(Buffer.from(signed(1).signature))
  await takeBlocks(parent.task, 1, 3, 1)
  await expect.poll(() => child.told.at(-1)?.heldBlocks).toEqual(Uint8Array.of(0b1100))
  for (const first of [0, 1, 4, 5, 6, 7]) await takeBlocks(parent.task, 1, first, 1)
  await expect.poll(() => child.told.at(-1)?.heldBlocks).toBeUndefined()
  expect(child.told.filter(({ record }) => record !== undefined)).toHaveLength(1)
})

test('a child that knows no blocks is told of whole pieces only', async () => {
  await using parent = await parentOf()
  const child = parent.child({ speaksBlocks: false })
  await takeBlocks(parent.task, 1, 0, 3)
  await takeBlocks(parent.task, 0, 0, 8)
  await expect.poll(() => child.told).toMatchObject([{ number: 0, heldBlocks: undefined, speaksBlocks: false }])
})

test('what was here before the child came is told, blocks too', async () => {
  await using parent = await parentOf()
  await takeBlocks(parent.task, 0, 0, 8)
  await takeBlocks(parent.task, 2, 7, 1)
  const child = parent.child()
  await expect.poll(() => child.numbers.toSorted((a, b) => a - b)).toEqual([0, 2])
})

test('a child that asked for some pieces is told of no other, and its talk ends with the last of them', async () => {
  await using parent = await parentOf()
  const child = parent.child({ numbers: [1] })
  await takeBlocks(parent.task, 0, 0, 8)
  await takeBlocks(parent.task, 1, 0, 8)
  await expect.poll(() => child.over).toBe(true)
  expect(new Set(child.numbers)).toEqual(new Set([1]))
})

test('nobody waits for pieces that the task cannot have, however many a child asks for', async () => {
  await using parent = await parentOf()
  const child = parent.child({ numbers: [1, ...Array.from({ length: 10_000 }, (_, n) => 4 + n)] })
  const lost = parent.child({ numbers: [2 ** 32 - 1] })
  await takeBlocks(parent.task, 1, 0, 8)
  await expect.poll(() => child.over && lost.over).toBe(true)
  expect(new Set([...child.numbers, ...lost.numbers])).toEqual(new Set([1]))
})

test('pieces read from the origin are told to different children first, and to everybody once they were sent', async () => {
  await using parent = await parentOf()
  const a = parent.child()
  const b = parent.child()
  await readOrigin(parent.task)
  await expect.poll(() => a.told.length + b.told.length).toBe(4)
  expect(a.numbers.filter((number) => b.numbers.includes(number))).toEqual([])
  for (const { number, length } of [...a.told, ...b.told]) {
    parent.handouts.asked(parent.task, number, 0, blockCount(length))
    parent.handouts.sent(parent.task, number, blockCount(length))
  }
  await expect
    .poll(() => [a.numbers.toSorted((a, b) => a - b), b.numbers.toSorted((a, b) => a - b)])
    .toEqual([
      [0, 1, 2, 3],
      [0, 1, 2, 3],
    ])
  await expect.poll(() => a.over && b.over).toBe(true)
})

test("what becomes a child's to fetch while it takes other news is told next, and not when somebody looks again", async () => {
  await using parent = await parentOf()
  await readOrigin(parent.task)
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  try {
    const news = parent.ask()
    const next = async (): Promise<number | undefined> => (await news.next()).value?.number
    expect(await next()).toBe(0)
    parent.handouts.asked(parent.task, 0, 0, 8)
    parent.handouts.sent(parent.task, 0, 8)
    expect(await next()).toBe(1)
    expect(await next()).toBe(2)
  } finally {
    vi.useRealTimers()
  }
})

test('a child that reads along is told everything at once', async () => {
  await using parent = await parentOf()
  parent.child()
  const reader = parent.child({ inOrder: true })
  await readOrigin(parent.task)
  await expect.poll(() => reader.numbers.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3])
})

test('what one child does not draw is told to the others', async () => {
  await using parent = await parentOf()
  const idle = parent.child({ numbers: [0, 1] })
  await readOrigin(parent.task)
  const stays = parent.child()
  await expect.poll(() => idle.numbers.length + stays.numbers.length).toBeGreaterThan(1)
  await expect.poll(() => stays.numbers.toSorted((a, b) => a - b), { timeout: 20_000 }).toEqual([0, 1, 2, 3])
})

test('a task of one small piece goes along with the news of it', async () => {
  const small = contentOf(1000)
  await using parent = await parentOf(small)
  await readOrigin(parent.task, small)
  const child = parent.child()
  await expect.poll(() => child.told).toMatchObject([{ number: 0, content: small }])
  expect(parent.state.sentAlong).toBe(small.length)
  const stock = parent.child({ speaksBlocks: false })
  await expect.poll(() => stock.told).toMatchObject([{ number: 0, content: undefined }])
})

test('the talk ends when no more will come', async () => {
  await using parent = await parentOf()
  const child = parent.child()
  await takeBlocks(parent.task, 0, 0, 1)
  await expect.poll(() => child.told.length).toBe(1)
  parent.state.running = false
  await expect.poll(() => child.over).toBe(true)
})

test('news of many pieces that the child knows comes in one message', async () => {
  await using parent = await parentOf()
  const child = parent.child()
  for (const number of [0, 1, 2]) await takeBlocks(parent.task, number, 0, 1)
  await expect.poll(() => new Set(child.numbers).size).toBe(3)
  const before = child.told.length
  const all = [0, 1, 2].flatMap((number) => [1, 2, 3, 4].map((block) => takeBlocks(parent.task, number, block, 1)))
  await Promise.all(all)
  const seen = (): string[] =>
    child.told
      .flatMap(({ number, heldBlocks, more }) => [{ number, heldBlocks }, ...more])
      .map(({ number, heldBlocks }) => `${number}:${heldBlocks?.[0]}`)
  await expect.poll(seen).toEqual(expect.arrayContaining(['0:31', '1:31', '2:31']))
  expect(child.told.length - before).toBeLessThan(all.length)
  expect(child.told.slice(before).every(({ record }) => record === undefined)).toBe(true)
})

test('news of blocks is sparse in the middle of a download, sparser where many are told, and quick at both ends', () => {
  const begun = { contentLength: 1000, heldBytes: 0 }
  const nearlyOver = { contentLength: 1000, heldBytes: 950 }
  expect([0, 1000, 60_000].map((sinceMs) => paceMs(begun, sinceMs, 1))).toEqual([5, 105, 200])
  expect([8, 16, 1000].map((children) => paceMs(begun, 60_000, children))).toEqual([200, 400, 1000])
  expect([1, 16, 100].map((children) => paceMs(nearlyOver, 60_000, children))).toEqual([5, 8, 50])
})
