import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH, Failure, pieceSpan } from '#core'
import { DiskBlockWriter } from './block-writer.ts'
import { BufferPool } from './buffers.ts'
import type { UnsignedPiece, WriteOptions } from './contract.ts'
import { Drafts } from './drafts.ts'
import { DiskPieceWriter } from './piece-writer.ts'
import { contentOf, expectationOf, giveAll, PIECE, SOURCE } from './testing.ts'
import type { WriterTask } from './writer-task.ts'

const content = contentOf(4 * PIECE + 321)

/** A task whose disk takes its time; it copies the bytes only when a write ends, as a disk may. */
function slowTask(delayMs: () => number, failAt = Number.POSITIVE_INFINITY) {
  const disk = Buffer.alloc(content.length)
  const kept: number[] = []
  let writes = 0
  let running = 0
  let mostRunning = 0
  const task: WriterTask = {
    pieceLength: PIECE,
    contentLength: content.length,
    settleLength: async () => undefined,
    held: (number) => kept.includes(number),
    join: (number) => drafts.join(number),
    leave: (draft) => drafts.leave(draft),
    async write(bytes, offset) {
      const fails = writes++ >= failAt
      mostRunning = Math.max(mostRunning, ++running)
      await sleep(delayMs())
      running--
      if (fails) throw new Failure('storage.full', 'no space left')
      disk.set(bytes, offset)
      return true
    },
    async keep(piece: UnsignedPiece) {
      const { offset, length, number } = piece
      if (!disk.subarray(offset, offset + length).equals(content.subarray(offset, offset + length))) {
        throw new Error(`piece ${number} was kept before its bytes were on disk, or its buffers were used again`)
      }
      kept.push(number)
    },
  }
  const drafts = new Drafts(PIECE, { ...task, tellBlock: () => undefined })
  return { task, drafts, kept, writes: () => writes, running: () => running, mostRunning: () => mostRunning }
}

function writerOf(task: WriterTask, pool: BufferPool, options: Partial<WriteOptions> = {}): DiskPieceWriter {
  return new DiskPieceWriter(task, { first: 0, from: SOURCE, ...options }, pool, () => undefined)
}

/** A writer of blocks of a piece, by its right record. */
function blockWriterOf(slow: ReturnType<typeof slowTask>, pool: BufferPool, number: number, first = 0, count = 3) {
  const span = pieceSpan(number, PIECE, content.length)
  const blocks = expectationOf(content, number).blocks ?? Buffer.alloc(0)
  const signed = { contentLength: undefined, signer: 'seed', signature: Buffer.alloc(64) }
  const record = { taskId: 'task', version: '', pieceLength: PIECE, ...span, blocks, ...signed }
  const draft = slow.task.held(number) ? undefined : slow.drafts.join(number, record)
  return new DiskBlockWriter(slow.task, draft, { record, first, count, parentId: 'p' }, pool, () => undefined)
}

/** Knows how many buffers are out, and the most there were. */
class CountingPool extends BufferPool {
  out = 0
  most = 0

  override take(): Buffer {
    this.most = Math.max(this.most, ++this.out)
    return super.take()
  }

  override give(buffer: Buffer): void {
    this.out--
    super.give(buffer)
  }
}

test('however slow each write is, no buffer is used again before it was written, and no piece kept before its bytes', async () => {
  const delays = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 5, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(
      delays,
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 1, max: 3 }),
      async (delays, buffers, writers) => {
        let next = 0
        const pool = new BufferPool(buffers * BLOCK_LENGTH)
        const slow = slowTask(() => delays[next++ % delays.length] ?? 0)
        await Promise.all(
          Array.from({ length: writers }, async (_, index) => {
            await using writer = writerOf(slow.task, pool, { first: index })
            await giveAll(writer, content.subarray(index * PIECE), 200_000)
            await writer.end()
          }),
        )
        expect(new Set(slow.kept)).toEqual(new Set([0, 1, 2, 3, 4]))
      },
    ),
    { numRuns: 25 },
  )
})

test('a slow disk slows the giver down: only a few writes are under way', async () => {
  const slow = slowTask(() => 5)
  await using writer = writerOf(slow.task, new BufferPool(64 * BLOCK_LENGTH))
  await giveAll(writer, content, BLOCK_LENGTH)
  await writer.end()
  expect(slow.mostRunning()).toBeGreaterThan(1) // the next block arrives while the last one is written
  expect(slow.mostRunning()).toBeLessThanOrEqual(6)
})

test('who leaves waits for the writes under way, keeps the pieces that were whole, and the others not', async () => {
  const slow = slowTask(() => 10)
  const writer = writerOf(slow.task, new BufferPool(64 * BLOCK_LENGTH))
  await giveAll(writer, content.subarray(0, 2 * PIECE + BLOCK_LENGTH + 5))
  await writer[Symbol.asyncDispose]()
  expect(slow.running()).toBe(0)
  expect(new Set(slow.kept)).toEqual(new Set([0, 1]))
  expect(() => writer.space()).toThrow('ended')
})

test('a write that fails reaches the giver, wherever it is waiting, and its piece is not kept', async () => {
  for (const failAt of [0, 1, 2, 5, 12]) {
    const slow = slowTask(() => 2, failAt)
    const full = { code: 'storage.full' }
    const writer = writerOf(slow.task, new BufferPool(0))
    await giveAll(writer, content, 300_000).catch((error: unknown) => expect(error).toMatchObject(full))
    await expect(writer.end()).rejects.toMatchObject(full)
    expect(slow.kept.length).toBeLessThanOrEqual(failAt / 3)
  }
})

test('a giver that leaves in the middle of a block may still write into its space: nobody else gets that buffer', async () => {
  const pool = new BufferPool(64 * BLOCK_LENGTH)
  const slow = slowTask(() => 0)
  const writer = writerOf(slow.task, pool)
  const space = writer.space()
  await writer[Symbol.asyncDispose]()
  const next = pool.join()
  expect(Array.from({ length: 3 }, () => next.take().buffer)).not.toContain(space.buffer)
})

test('without extra buffers each writer has three, and with them no more than the bound in all', () => {
  const pool = new BufferPool(10 * BLOCK_LENGTH)
  const [one, two] = [pool.join(), pool.join()]
  expect([one.allow(4), two.allow(1), two.allow(0)]).toEqual([true, false, true])
  expect(one.allow(5)).toBe(false)
  expect(one.allow(1)).toBe(true)
  expect(two.allow(3)).toBe(true)
  one.leave()
  expect(two.allow(7)).toBe(true)
  expect(two.allow(8)).toBe(false)
})

test('however slow each write is, blocks that several parents bring are written once, and every buffer comes back', async () => {
  const delays = fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 5, maxLength: 5 })
  const pieces = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(delays, fc.integer({ min: 0, max: 12 }), pieces, async (delays, buffers, numbers) => {
      let next = 0
      const pool = new CountingPool(buffers * BLOCK_LENGTH)
      const slow = slowTask(() => delays[next++ % delays.length] ?? 0)
      const bring = async (number: number, first: number, count: number): Promise<void> => {
        await using writer = blockWriterOf(slow, pool, number, first, count)
        const start = number * PIECE + first * BLOCK_LENGTH
        const end = Math.min(start + count * BLOCK_LENGTH, (number + 1) * PIECE)
        await giveAll(writer, content.subarray(start, end), 200_000)
        await writer.end()
      }
      await Promise.all(numbers.flatMap((number) => [bring(number, 0, 3), bring(number, 1, 1), bring(number, 2, 1)]))
      expect(new Set(slow.kept)).toEqual(new Set(numbers))
      expect(slow.writes()).toBe(3 * new Set(numbers).size)
      expect(pool.out).toBe(0)
    }),
    { numRuns: 40 },
  )
})

test('a writer of blocks that got no byte yet takes no buffer from the others, and then no more than it has blocks', async () => {
  const pool = new CountingPool(9 * BLOCK_LENGTH)
  const slow = slowTask(() => 0)
  const waiting = Array.from({ length: 30 }, () => blockWriterOf(slow, pool, 0))
  expect(pool.join().allow(1)).toBe(true)
  await Promise.all(waiting.map((writer) => writer[Symbol.asyncDispose]()))
  expect(pool.most).toBe(0)
  await using filling = blockWriterOf(slow, pool, 1, 0, 1)
  filling.space()
  expect(pool.join().allow(1)).toBe(true)
})

test('writers of one block need one buffer each, and on a slow disk their givers wait when there are no more', async () => {
  const pool = new CountingPool(0)
  const slow = slowTask(() => 20)
  const writers = [0, 1, 2].map((index) => blockWriterOf(slow, pool, index, 0, 1))
  for (const [index, writer] of writers.entries()) {
    writer.space().set(content.subarray(index * PIECE, index * PIECE + BLOCK_LENGTH))
    expect(writer.filled(BLOCK_LENGTH)).toBe(false)
  }
  await Promise.all(writers.map((writer) => writer.drained()))
  expect([pool.out, pool.most]).toEqual([0, 3])
  await Promise.all(writers.map((writer) => writer.end()))
})

test('buffers come back from blocks that are wrong, fail to be written, or are not needed', async () => {
  const pool = new CountingPool(0)
  await using wrong = blockWriterOf(
    slowTask(() => 0),
    pool,
    0,
    0,
    1,
  )
  await expect(giveAll(wrong, Buffer.alloc(BLOCK_LENGTH))).rejects.toMatchObject({ code: 'piece.corrupt' })
  const slow = slowTask(() => 2, 0)
  await using unwritten = blockWriterOf(slow, pool, 0)
  await giveAll(unwritten, content.subarray(0, PIECE)).catch(() => undefined)
  await expect(unwritten.end()).rejects.toMatchObject({ code: 'storage.full' })
  expect(slow.drafts.readable(0)).toBeUndefined()
  const brought = slowTask(() => 0)
  const late = blockWriterOf(brought, pool, 0)
  await using source = writerOf(brought.task, pool)
  await giveAll(source, content)
  await source.end()
  await giveAll(late, Buffer.alloc(PIECE))
  await late.end()
  expect(pool.out).toBe(0)
})

test('who brings blocks of a piece that somebody else could not keep is told why', async () => {
  const pool = new CountingPool(0)
  const slow = slowTask(() => 0)
  let fail: () => void = () => undefined
  slow.task.keep = () => new Promise((_, reject) => (fail = () => reject(new Failure('storage.full', 'no space left'))))
  await using source = writerOf(slow.task, pool, { end: 1 })
  await giveAll(source, content.subarray(0, PIECE))
  const draft = slow.task.join(0)
  while (draft.kept === undefined) await new Promise(setImmediate)
  await using late = blockWriterOf(slow, pool, 0)
  await giveAll(late, content.subarray(0, PIECE))
  const ending = late.end()
  fail()
  await expect(ending).rejects.toMatchObject({ code: 'storage.full' })
  await expect(source.end()).rejects.toMatchObject({ code: 'storage.full' })
})
