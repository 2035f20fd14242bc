import { crc32 } from '@node-rs/crc32'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH, fill } from '#core'
import type { HeldPiece, StoredTask, UnsignedPiece } from './contract.ts'
import {
  contentOf,
  expectationOf,
  giveAll,
  heldRightly,
  metaOf,
  PIECE,
  SOURCE,
  storedTask,
  taskIdOf,
  tempStore,
  write,
} from './testing.ts'

const content = contentOf(3 * PIECE + 12_345)
const peer = { traffic: 'peer', parentId: 'parent-1' } as const

async function bytesOf(task: StoredTask): Promise<Buffer> {
  const bytes = Buffer.alloc(task.contentLength ?? 0)
  expect(await task.read(0, bytes)).toBe(bytes.length)
  return bytes
}

test('a whole content of known length becomes pieces with digests, told one by one', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  const told: HeldPiece[] = []
  task.onPiece((piece) => told.push(piece))
  await write(task, content)
  expect(task.complete).toBe(true)
  expect(task.pieceCount).toBe(4)
  expect(task.heldBytes).toBe(content.length)
  expect(new Set(told.map((piece) => piece.number))).toEqual(new Set([0, 1, 2, 3]))
  expect((await bytesOf(task)).equals(content)).toBe(true)
  for (const piece of task.pieces()) {
    expect(piece.crc32).toBe(crc32(content.subarray(piece.offset, piece.offset + piece.length)))
    expect(Buffer.compare(piece.blocks, expectationOf(content, piece.number).blocks ?? Buffer.alloc(0))).toBe(0)
    expect(piece).toMatchObject({ traffic: 'source', parentId: '' })
  }
})

test('without a known length a whole piece is held only once a byte behind it came', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  const signed: UnsignedPiece[] = []
  await using writer = task.write({ first: 0, from: SOURCE, sign: (piece) => void signed.push(piece) })
  await giveAll(writer, content.subarray(0, PIECE))
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(task.pieces()).toEqual([])
  const first = new Promise((resolve) => task.onPiece(resolve))
  await giveAll(writer, content.subarray(PIECE, 2 * PIECE))
  expect(await first).toMatchObject({ number: 0 })
  expect(task.contentLength).toBeUndefined()
  await writer.end({ eof: true })
  expect(task).toMatchObject({ contentLength: 2 * PIECE, complete: true })
  expect(signed.map((piece) => piece.contentLength)).toEqual([undefined, 2 * PIECE])
})

test('the end tells the length, also within a block, at the end of a block, and before the first byte', async () => {
  await using at = await tempStore()
  for (const length of [0, 1, BLOCK_LENGTH, PIECE, PIECE + 1, PIECE + BLOCK_LENGTH, 2 * PIECE + 77]) {
    const task = await at.store.open(metaOf({ taskId: taskIdOf(length % 65_521) }))
    await write(task, content.subarray(0, length))
    expect(task).toMatchObject({ contentLength: length, complete: true, pieceCount: Math.ceil(length / PIECE) })
    expect((await bytesOf(task)).equals(content.subarray(0, length))).toBe(true)
  }
})

test('what is not a whole piece when the giver leaves is thrown away', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  {
    await using writer = task.write({ first: 0, from: SOURCE })
    await giveAll(writer, content.subarray(0, PIECE + BLOCK_LENGTH + 5))
  }
  expect(await heldRightly(task, content)).toEqual([0])
  await using writer = task.write({ first: 1, end: 3, from: SOURCE })
  await giveAll(writer, content.subarray(PIECE, 2 * PIECE + 3))
  await writer.end()
  expect(await heldRightly(task, content)).toEqual([0, 1])
})

test('of a source without a known length the last piece is not kept when nobody told the end', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  await using writer = task.write({ first: 0, from: SOURCE })
  await giveAll(writer, content.subarray(0, 2 * PIECE))
  await writer.end()
  expect(await heldRightly(task, content)).toEqual([0])
})

test('a piece from a parent is held without a known length, because the parent holds it', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  await write(task, content, { first: 2, end: 3, from: peer })
  expect(task.piece(2)).toMatchObject({ traffic: 'peer', parentId: 'parent-1' })
  expect(task.contentLength).toBeUndefined()
})

test('a block that is not what the record says is refused at once, and nothing of its piece is held', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  const wrong = Buffer.from(content)
  wrong.writeUInt8(wrong.readUInt8(PIECE + BLOCK_LENGTH + 9) ^ 1, PIECE + BLOCK_LENGTH + 9)
  await using writer = task.write({ first: 0, from: peer, expect: (number) => expectationOf(content, number) })
  let given = 0
  const giving = (async () => {
    for (; given < wrong.length; given += 10_000) await fill(writer, wrong.subarray(given, given + 10_000))
  })()
  await expect(giving).rejects.toMatchObject({ code: 'piece.corrupt', message: expect.stringContaining('parent-1') })
  expect(given).toBeLessThan(PIECE + 2 * BLOCK_LENGTH)
  await expect(writer.end()).rejects.toMatchObject({ code: 'piece.corrupt' })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('a CRC-32 that does not match, or a record of another length, refuses the piece', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  const corrupt = { code: 'piece.corrupt' }
  const blocks = expectationOf(content, 0).blocks?.subarray(0, 64) ?? Buffer.alloc(0)
  const longer = Buffer.concat([expectationOf(content, 0).blocks ?? Buffer.alloc(0), Buffer.alloc(32)])
  await expect(write(task, content, { end: 1, expect: () => ({ crc32: 7 }) })).rejects.toMatchObject(corrupt)
  await expect(write(task, content, { end: 1, expect: () => ({ blocks }) })).rejects.toMatchObject(corrupt)
  await expect(write(task, content, { end: 1, expect: () => ({ blocks: longer }) })).rejects.toMatchObject(corrupt)
  expect(task.pieces()).toEqual([])
  await write(task, content, { end: 1, expect: () => ({ crc32: crc32(content.subarray(0, PIECE)) }) })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('pieces that are held are passed over, whatever bytes come', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  await write(task, content, { first: 1, end: 2 })
  const other = Buffer.from(content)
  other.fill(0, PIECE, 2 * PIECE)
  await write(task, other)
  expect(task.complete).toBe(true)
  expect((await bytesOf(task)).equals(content)).toBe(true)
})

test('a known length that is contradicted is source.broken', async () => {
  await using at = await tempStore()
  const broken = { code: 'source.broken' }
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  await using short = task.write({ first: 0, from: SOURCE })
  await giveAll(short, content.subarray(0, 100))
  await expect(short.end({ eof: true })).rejects.toMatchObject(broken)
  await expect(task.setContentLength(5)).rejects.toMatchObject(broken)
  await task.setContentLength(content.length)

  const unknown = await at.store.open(metaOf({ taskId: taskIdOf(1) }))
  await write(unknown, content, { first: 1, end: 2, from: peer })
  await expect(unknown.setContentLength(PIECE)).rejects.toMatchObject(broken)
  await using long = unknown.write({ first: 2, from: SOURCE })
  await giveAll(long, content.subarray(2 * PIECE, 2 * PIECE + 500))
  await unknown.setContentLength(2 * PIECE + 100)
  expect(long.full).toBe(true)
  await expect(long.end()).rejects.toMatchObject(broken)
})

test('a length that is learned while the last block is under way completes it', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  await using writer = task.write({ first: 0, from: SOURCE })
  await giveAll(writer, content.subarray(0, PIECE + 300))
  await task.setContentLength(PIECE + 300)
  expect(writer.full).toBe(true)
  await writer.end()
  expect(task.complete).toBe(true)
  expect((await bytesOf(task)).equals(content.subarray(0, PIECE + 300))).toBe(true)
})

test('a listener that throws breaks neither the writing nor the other listeners', async () => {
  const warnings: string[] = []
  await using at = await tempStore({ warn: (message) => warnings.push(message) })
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  let told = 0
  task.onPiece(() => {
    throw new Error('no')
  })
  const stop = task.onPiece(() => told++)
  task.onPiece(() => told >= 2 && stop())
  await write(task, content)
  expect(task.complete).toBe(true)
  expect(told).toBe(2)
  expect(warnings).toHaveLength(4)
})

test('a signature is kept and makes the record; a piece without one has none', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  const signature = Buffer.alloc(64, 7)
  await write(task, content, {
    sign: (piece) =>
      piece.number === 0 ? { signer: 'host-1', signature, contentLength: piece.contentLength } : undefined,
  })
  expect(task.record(0)).toMatchObject({
    taskId: task.meta.taskId,
    version: 'v1',
    signer: 'host-1',
    contentLength: content.length,
  })
  expect(task.record(1)).toBeUndefined()
})

test('two writers of one piece: the first to finish wins, and the bytes are right', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  const one = task.write({ first: 0, end: 1, from: peer, expect: (number) => expectationOf(content, number) })
  const two = task.write({ first: 0, end: 1, from: { ...peer, parentId: 'parent-2' } })
  await giveAll(one, content.subarray(0, BLOCK_LENGTH + 1))
  await giveAll(two, content.subarray(0, PIECE))
  await giveAll(one, content.subarray(BLOCK_LENGTH + 1, PIECE))
  await Promise.all([one.end(), two.end()])
  expect(task.piece(0)?.parentId).toBe('parent-2')
  expect(await heldRightly(task, content)).toEqual([0])
})

test('a liar who writes the same piece as somebody honest never gets a wrong byte onto disk', async () => {
  await using at = await tempStore()
  const lie = Buffer.from(content.subarray(0, PIECE))
  lie.fill(0, 10, PIECE)
  // The liar may come before, between and after the honest one's blocks, and may leave half-way.
  const turns = fc.array(fc.boolean(), { minLength: 6, maxLength: 6 })
  let number = 100
  await fc.assert(
    fc.asyncProperty(turns, fc.boolean(), async (order, liarChecksCrc) => {
      const task = await at.store.open(metaOf({ taskId: taskIdOf(number++), contentLength: content.length }))
      const expectation = liarChecksCrc ? { crc32: crc32(lie) } : {}
      const liar = task.write({ first: 0, end: 1, from: { ...peer, parentId: 'liar' }, expect: () => expectation })
      const honest = task.write({ first: 0, end: 1, from: peer, expect: (piece) => expectationOf(content, piece) })
      const parts = [0, BLOCK_LENGTH, 2 * BLOCK_LENGTH, PIECE]
      const next = { liar: 0, honest: 0 }
      for (const who of order) {
        const [sink, bytes, name] = who ? ([liar, lie, 'liar'] as const) : ([honest, content, 'honest'] as const)
        const at = next[name]++
        if (at < 3) await giveAll(sink, bytes.subarray(parts[at], parts[at + 1])).catch(() => undefined)
      }
      const [one] = await Promise.allSettled([honest.end(), liar.end()])
      const held = task.piece(0)
      if (next.honest >= 3 && held?.parentId !== 'liar') expect(one.status).toBe('fulfilled')
      if (held === undefined) return
      const whose = held.parentId === 'liar' ? Buffer.concat([lie, content.subarray(PIECE)]) : content
      expect(await heldRightly(task, whose)).toEqual([0])
    }),
    { numRuns: 60 },
  )
})

test('whatever the sizes of chunks and runs and whoever leaves early, what is held is right', async () => {
  await using at = await tempStore({ bufferBytes: 4 * BLOCK_LENGTH })
  const run = fc.record({
    first: fc.integer({ min: 0, max: 3 }),
    length: fc.integer({ min: 1, max: 4 }),
    chunkLength: fc.constantFrom(1_000, 65_536, 300_001, BLOCK_LENGTH, 2_000_000),
    leaveAfter: fc.option(fc.integer({ min: 0, max: content.length }), { freq: 2 }),
  })
  let number = 1000
  await fc.assert(
    fc.asyncProperty(fc.array(run, { minLength: 1, maxLength: 6 }), fc.boolean(), async (runs, known) => {
      const taskId = taskIdOf(number++)
      const task = await at.store.open(metaOf({ taskId, contentLength: known ? content.length : undefined }))
      await Promise.all(
        runs.map(async ({ first, length, chunkLength, leaveAfter }) => {
          await using writer = task.write({ first, end: first + length, from: SOURCE })
          const bytes = content.subarray(first * PIECE, Math.min((first + length) * PIECE, content.length))
          await giveAll(writer, bytes.subarray(0, leaveAfter ?? bytes.length), chunkLength)
          if (leaveAfter === null) await writer.end({ eof: first + length >= 4 })
        }),
      )
      const held = await heldRightly(task, content)
      for (const { first, length, leaveAfter } of runs) {
        const last = Math.min(first + length, 4) - (known ? 0 : 1) // the last one of a run may be the last of all
        if (leaveAfter === null) for (let piece = first; piece < last; piece++) expect(held).toContain(piece)
      }
      await at.store.delete(taskId)
    }),
    { numRuns: 40 },
  )
})

test('after filled said false there is space for one more read, and going on regardless is refused', async () => {
  await using at = await tempStore({ bufferBytes: 0 })
  const task = await at.store.open(metaOf({ contentLength: content.length }))
  await using writer = task.write({ first: 0, from: SOURCE })
  expect(writer.filled(writer.space().length)).toBe(false)
  expect(writer.filled(writer.space().length)).toBe(false)
  expect(writer.space().length).toBeGreaterThan(0)
  writer.filled(writer.space().length)
  expect(() => writer.space()).toThrow('drained')
})

test('twenty writers share a small pool and none waits for ever', async () => {
  await using at = await tempStore({ bufferBytes: 8 * BLOCK_LENGTH })
  const tasks = await Promise.all(
    Array.from({ length: 20 }, (_, number) => at.store.open(metaOf({ taskId: taskIdOf(number) }))),
  )
  await Promise.all(tasks.map((task) => write(task, content, { chunkLength: BLOCK_LENGTH })))
  expect(tasks.every((task) => task.complete)).toBe(true)
  expect(await heldRightly(tasks[19] as StoredTask, content)).toHaveLength(4)
})

test('a task that is complete takes no more bytes', async () => {
  await using at = await tempStore()
  const task = await storedTask(at.store, content)
  await write(task, content)
  expect((await bytesOf(task)).equals(content)).toBe(true)
})
