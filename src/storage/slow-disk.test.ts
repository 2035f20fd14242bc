import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH, Failure } from '#core'
import { BufferPool } from './buffers.ts'
import type { UnsignedPiece, WriteOptions } from './contract.ts'
import { Drafts } from './drafts.ts'
import { DiskPieceWriter } from './piece-writer.ts'
import { contentOf, giveAll, PIECE, SOURCE } from './testing.ts'
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
  return { task, kept, running: () => running, mostRunning: () => mostRunning }
}

function writerOf(task: WriterTask, pool: BufferPool, options: Partial<WriteOptions> = {}): DiskPieceWriter {
  return new DiskPieceWriter(task, { first: 0, from: SOURCE, ...options }, pool, () => undefined)
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
