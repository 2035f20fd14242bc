import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from '@node-rs/crc32'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BLOCK_LENGTH } from '#core'
import type { HeldPiece, StoredTask } from './contract.ts'
import {
  contentOf,
  giveAll,
  heldRightly,
  metaOf,
  openStore,
  PIECE,
  readableRightly,
  recordOf,
  SOURCE,
  taskIdOf,
  tempDir,
  tempStore,
  write,
  writeBlocks,
} from './testing.ts'

const content = contentOf(2 * PIECE + 12_345) // pieces of three blocks, and one of a short block
const meta = metaOf({ contentLength: content.length })
const corrupt = { code: 'piece.corrupt' }
const missing = { code: 'piece.missing' }

function blockOf(index: number, bytes = content): Buffer {
  return bytes.subarray(index * BLOCK_LENGTH, Math.min((index + 1) * BLOCK_LENGTH, PIECE))
}

/** `content` with another byte in some block of piece 0. */
function changedIn(index: number): Buffer {
  const changed = Buffer.from(content)
  changed.writeUInt8(changed.readUInt8(index * BLOCK_LENGTH + 9) ^ 1, index * BLOCK_LENGTH + 9)
  return changed
}

const signature = { signer: 'seed', signature: Buffer.alloc(64, 7), contentLength: undefined }

/** Resolves once the piece is held. */
async function held(task: StoredTask, number: number): Promise<void> {
  while (task.piece(number) === undefined) await new Promise((resolve) => task.onPiece(resolve))
}

/** What the task tells, in order. */
function newsOf(task: StoredTask): (HeldPiece | number)[] {
  const news: (HeldPiece | number)[] = []
  task.onPiece((piece) => news.push(piece))
  task.onBlocks((number) => news.push(number))
  return news
}

test('blocks are readable one by one, in any order, and the last one makes the piece held', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const news = newsOf(task)
  expect(task.blocks(0)).toBeUndefined()
  await writeBlocks(task, content, { first: 2 })
  const asOfNow = task.blocks(0)
  expect(await readableRightly(task, content)).toEqual([2])
  await writeBlocks(task, content, { first: 0, parentId: 'parent-2' })
  expect(await readableRightly(task, content)).toEqual([0, 2])
  expect(asOfNow?.size).toBe(1)
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
  expect([task.piece(0), task.heldBytes, task.complete]).toEqual([undefined, 0, false])
  await writeBlocks(task, content, { first: 1 })
  expect(news).toEqual([0, 0, task.piece(0)])
  expect(task.blocks(0)?.full).toBe(true)
  expect(task.piece(0)).toMatchObject({
    crc32: crc32(content.subarray(0, PIECE)),
    traffic: 'peer',
    parentId: 'parent-1',
    length: PIECE,
  })
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
  expect(await heldRightly(task, content)).toEqual([0])
})

test('several blocks of one request become readable while it goes on, and pieces of one short block are held at once', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await using writer = task.writeBlocks({ record: recordOf(task, content, 1), first: 1, count: 2, parentId: 'p' })
  const first = new Promise((resolve) => task.onBlocks(resolve))
  await giveAll(writer, content.subarray(PIECE + BLOCK_LENGTH, PIECE + 2 * BLOCK_LENGTH + 100))
  expect(await first).toBe(1)
  expect(await readableRightly(task, content, 1)).toEqual([1])
  await giveAll(writer, content.subarray(PIECE + 2 * BLOCK_LENGTH + 100, 2 * PIECE))
  expect(writer.full).toBe(true)
  expect(writer.space()).toHaveLength(0)
  await writer.end()
  expect(await readableRightly(task, content, 1)).toEqual([1, 2])
  await writeBlocks(task, content, { number: 2 })
  expect(await heldRightly(task, content)).toEqual([2])
})

test('a read ends before a hole, crosses from blocks to held pieces, and misses what is not here', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 2 })
  const target = Buffer.alloc(content.length)
  await expect(task.read(0, target)).rejects.toMatchObject(missing)
  await expect(task.read(2 * BLOCK_LENGTH - 1, target)).rejects.toMatchObject(missing)
  const start = 2 * BLOCK_LENGTH + 7
  expect(await task.read(start, target)).toBe(PIECE - start)
  await write(task, content, { first: 1, end: 2 })
  expect(await task.read(start, target)).toBe(2 * PIECE - start)
  expect(target.subarray(0, 2 * PIECE - start).equals(content.subarray(start, 2 * PIECE))).toBe(true)
  await writeBlocks(task, content, { first: 0 })
  expect(await task.read(5, target)).toBe(BLOCK_LENGTH - 5)
  await expect(task.export(join(at.dir, 'out'), { start: 0, end: 9 })).rejects.toMatchObject(missing)
})

test('a block that is not what the record says is never readable, and the others of its request stay', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const record = recordOf(task, content, 0)
  await using writer = task.writeBlocks({ record, first: 0, count: 3, parentId: 'liar' })
  const lie = changedIn(1)
  await expect(giveAll(writer, lie.subarray(0, PIECE))).rejects.toMatchObject({
    message: expect.stringContaining('liar'),
  })
  expect(() => writer.space()).toThrow('record')
  await expect(writer.end()).rejects.toMatchObject(corrupt)
  expect(await readableRightly(task, content)).toEqual([0])
  await writeBlocks(task, content, { first: 1, count: 2 })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('blocks stay when their writer leaves early; half a block does not', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const record = recordOf(task, content, 0)
  {
    await using writer = task.writeBlocks({ record, first: 0, count: 3, parentId: 'p' })
    await giveAll(writer, content.subarray(0, 2 * BLOCK_LENGTH + 5))
  }
  expect(await readableRightly(task, content)).toEqual([0, 1])
  await using short = task.writeBlocks({ record, first: 1, count: 2, parentId: 'p' })
  await giveAll(short, content.subarray(BLOCK_LENGTH, 2 * BLOCK_LENGTH + 5))
  await expect(short.end()).rejects.toMatchObject(missing)
  expect(await readableRightly(task, content)).toEqual([0, 1])
})

test('a writer of what somebody else brings meanwhile takes its bytes and ends well, whatever they are', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const news = newsOf(task)
  const options = { record: recordOf(task, content, 0), first: 0, count: 3, parentId: 'slow' }
  await using same = task.writeBlocks(options)
  await using late = task.writeBlocks(options)
  await giveAll(same, content.subarray(0, 10))
  await writeBlocks(task, content, { first: 0, count: 2 })
  await giveAll(same, content.subarray(10, PIECE))
  await same.end()
  await giveAll(late, Buffer.alloc(PIECE))
  await late.end()
  await writeBlocks(task, Buffer.alloc(content.length), { record: options.record, first: 1, count: 2 })
  expect(news.filter((item) => typeof item !== 'number')).toHaveLength(1)
  expect(await heldRightly(task, content)).toEqual([0])
})

test('of a writer that got no byte, all is well when others brought its blocks, and missing when not', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const options = { record: recordOf(task, content, 0), first: 0, count: 2, parentId: 'idle' }
  await using lucky = task.writeBlocks({ ...options, count: 1 })
  await using other = task.writeBlocks(options)
  await writeBlocks(task, content, { first: 0 })
  await lucky.end()
  await expect(other.end()).rejects.toMatchObject(missing)
})

test('a record of another task, piece or length is refused, and blocks that a piece does not have', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const right = recordOf(task, content, 0)
  const wrong = [
    { taskId: taskIdOf(9) },
    { version: 'v2' },
    { pieceLength: PIECE + 1 },
    { number: 1 },
    { number: -1, offset: -PIECE },
    { number: 0.5, offset: PIECE / 2 },
    { number: 7, offset: 7 * PIECE },
    { offset: 1 },
    { length: PIECE - 1 },
    { blocks: right.blocks.subarray(0, 64) },
    { blocks: Buffer.concat([right.blocks, Buffer.alloc(32)]) },
  ]
  for (const changes of wrong) {
    const record = { ...right, ...changes }
    expect(() => task.writeBlocks({ record, first: 0, count: 1, parentId: 'p' })).toThrow(
      expect.objectContaining(corrupt),
    )
  }
  for (const [first, count] of [
    [0, 0],
    [-1, 2],
    [0, 4],
    [3, 1],
    [0.5, 1],
    [0, 1.5],
    [Number.NaN, 1],
  ] as const) {
    expect(() => task.writeBlocks({ record: right, first, count, parentId: 'p' })).toThrow(RangeError)
  }
  await writeBlocks(task, content)
})

test('more bytes than there is space for are refused', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const options = { record: recordOf(task, content, 0), first: 2, count: 1, parentId: 'p' }
  await using blind = task.writeBlocks(options)
  expect(() => blind.filled(1)).toThrow('less space')
  await using greedy = task.writeBlocks(options)
  expect(greedy.space()).toHaveLength(1000)
  expect(greedy.filled(0)).toBe(true)
  expect(() => greedy.filled(1001)).toThrow('less space')
  await expect(greedy.end()).rejects.toThrow('less space')
  expect(task.blocks(0)).toBeUndefined()
})

test('what a record says once it is believed stays so, whatever becomes of the message it came in', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const record = recordOf(task, content, 0)
  await writeBlocks(task, content, { record, first: 0 })
  record.blocks.fill(0)
  record.signature.fill(0)
  await writeBlocks(task, content, { first: 1, count: 2 })
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
})

test('without a known length blocks of whole pieces come, and those of the last one when the length is told', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  await writeBlocks(task, content, { number: 1, first: 0, count: 3 })
  expect(await heldRightly(task, content)).toEqual([1])
  const last = { record: recordOf(task, content, 2), first: 0, count: 1, parentId: 'p' }
  expect(() => task.writeBlocks(last)).toThrow('none of this task')
  await task.setContentLength(content.length)
  await writeBlocks(task, content, { number: 2 })
  expect(await heldRightly(task, content)).toEqual([1, 2])
})

test('a length that contradicts a record takes its blocks away, and nothing is held by it', async () => {
  await using at = await tempStore()
  const task = await at.store.open(metaOf())
  const shorter = content.subarray(0, PIECE + 700_000)
  const record = recordOf(task, content, 1)
  await using writer = task.writeBlocks({ record, first: 1, count: 2, parentId: 'p' })
  await writeBlocks(task, content, { number: 1, first: 0 })
  const settling = task.setContentLength(shorter.length)
  expect([task.blocks(1), task.record(1)]).toEqual([undefined, undefined])
  await settling
  await giveAll(writer, content.subarray(PIECE + BLOCK_LENGTH, 2 * PIECE))
  await expect(writer.end()).rejects.toMatchObject(missing)
  await writeBlocks(task, shorter, { number: 1, first: 0, count: 2 })
  expect(await heldRightly(task, shorter)).toEqual([1])
})

test('a listener that throws harms neither the writing nor the other listeners', async () => {
  const warnings: string[] = []
  await using at = await tempStore({ warn: (message) => warnings.push(message) })
  const task = await at.store.open(meta)
  let told = 0
  task.onBlocks(() => {
    throw new Error('no')
  })
  const stop = task.onBlocks(() => told++)
  await writeBlocks(task, content, { first: 0 })
  stop()
  await writeBlocks(task, content, { first: 1 })
  expect([told, warnings.length]).toEqual([1, 2])
  expect(await readableRightly(task, content)).toEqual([0, 1])
})

test('what was written to a deleted task can still be read by who holds it, and is gone for everyone else', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const writer = task.writeBlocks({ record: recordOf(task, content, 0), first: 0, count: 2, parentId: 'p' })
  await giveAll(writer, blockOf(0))
  await at.store.delete(meta.taskId)
  await giveAll(writer, blockOf(1))
  using _hold = task.hold()
  await writer.end()
  expect(await readableRightly(task, content)).toEqual([0, 1])
  expect((await at.store.open(meta)).blocks(0)).toBeUndefined()
})

test('of a task that is closed while its blocks are written no more becomes readable, and the writer hears of it', async () => {
  const at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 0 })
  const writer = task.writeBlocks({ record: recordOf(task, content, 0), first: 1, count: 2, parentId: 'p' })
  await giveAll(writer, content.subarray(BLOCK_LENGTH, 2 * BLOCK_LENGTH - 1))
  await at[Symbol.asyncDispose]()
  await giveAll(writer, content.subarray(2 * BLOCK_LENGTH - 1, PIECE)).catch(() => undefined)
  await expect(writer.end()).rejects.toMatchObject({ code: 'storage.failed' })
  expect(task.blocks(0)?.size).toBe(1)
})

test('after a restart only whole pieces are here', async () => {
  using dir = tempDir()
  {
    await using store = await openStore(dir.path)
    const task = await store.open(meta)
    await writeBlocks(task, content, { number: 1, first: 0, count: 3 })
    await writeBlocks(task, content, { first: 0, count: 2 })
    expect(store.heldBytes).toBe(PIECE + 2 * BLOCK_LENGTH) // what eviction counts
    expect(task.heldBytes).toBe(PIECE)
  }
  await using store = await openStore(dir.path)
  const task = await store.open(meta)
  expect([task.blocks(0), task.record(0)]).toEqual([undefined, undefined])
  expect(await heldRightly(task, content)).toEqual([1])
  await writeBlocks(task, content, { first: 0, count: 3 })
  expect(await heldRightly(task, content)).toEqual([0, 1])
})

test('a task that is looked over forgets its loose blocks, and its writers go on', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await using writer = task.writeBlocks({ record: recordOf(task, content, 0), first: 1, count: 2, parentId: 'p' })
  await writeBlocks(task, content, { first: 0 })
  expect(await at.store.verify(meta.taskId)).toEqual({ dropped: 0 })
  expect(task.blocks(0)).toBeUndefined()
  await giveAll(writer, content.subarray(BLOCK_LENGTH, PIECE))
  await writer.end()
  expect(await readableRightly(task, content)).toEqual([1, 2])
  await writeBlocks(task, content, { first: 0 })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('what is read while it is forgotten is not passed on', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 0, count: 2 })
  const reading = task.read(0, Buffer.alloc(BLOCK_LENGTH))
  for (let turn = 0; turn < 10; turn++) await Promise.resolve() // the disk is asked, and cannot have answered yet
  const verifying = at.store.verify(meta.taskId)
  await expect(reading).rejects.toMatchObject(missing)
  await verifying
})

test('blocks that the disk lost are found out when they are read', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 0, count: 2 })
  const dir = join(at.dir, 'tasks', meta.taskId.slice(0, 3), meta.taskId)
  truncateSync(join(dir, String(readdirSync(dir)[0]), 'content'), BLOCK_LENGTH + 10)
  await expect(task.read(BLOCK_LENGTH, Buffer.alloc(100))).rejects.toMatchObject(missing)
  expect(task.blocks(0)).toBeUndefined()
})

test('blocks and a source write one piece together, and with the last block, whoever brings it, it is held', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 1 })
  await using source = task.write({ first: 0, end: 1, from: SOURCE, sign: () => ({ ...signature, signer: 'me' }) })
  await giveAll(source, content.subarray(0, BLOCK_LENGTH + 100))
  await writeBlocks(task, content, { first: 2 })
  // What the source brought is what the record says: nothing is missing.
  await held(task, 0)
  expect(task.record(0)).toEqual(recordOf(task, content, 0))
  await giveAll(source, content.subarray(BLOCK_LENGTH + 100, PIECE))
  await source.end()

  await writeBlocks(task, content, { number: 1, first: 2 })
  await write(task, content, { first: 1, end: 2, sign: () => ({ ...signature, signer: 'me' }) })
  expect(task.record(1)).toMatchObject({ signer: 'seed' })
  expect(task.piece(1)).toMatchObject({ traffic: 'source', crc32: crc32(content.subarray(PIECE, 2 * PIECE)) })
  expect(await heldRightly(task, content)).toEqual([0, 1])
})

test('a source with other bytes than checked blocks is refused once; then its content counts', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 1 })
  const changed = Buffer.from(content)
  for (const index of [0, 1, 2]) changed.fill(index, index * BLOCK_LENGTH, index * BLOCK_LENGTH + 9)
  const readAgain = () => write(task, changed, { end: 1 })
  {
    // As long as somebody still brings blocks, they stay.
    await using peer = task.writeBlocks({ record: recordOf(task, content, 0), first: 2, count: 1, parentId: 'p' })
    await expect(readAgain()).rejects.toMatchObject(corrupt)
    expect(await readableRightly(task, content)).toEqual([1])
    await giveAll(peer, blockOf(2))
    await peer.end()
    expect(await readableRightly(task, content)).toEqual([1, 2])
  }
  await expect(readAgain()).rejects.toMatchObject(corrupt)
  expect(task.blocks(0)).toBeUndefined()
  await readAgain()
  expect(await heldRightly(task, changed)).toEqual([0])
})

test('a stock peer with other bytes than checked blocks is refused, and they stay', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  await writeBlocks(task, content, { first: 1 })
  const from = { traffic: 'peer', parentId: 'stock' } as const
  for (let again = 0; again < 2; again++) {
    await expect(write(task, changedIn(1), { end: 1, from })).rejects.toMatchObject(corrupt)
    expect(await readableRightly(task, content)).toEqual([1])
  }
  await write(task, content, { end: 1, from })
  expect(await heldRightly(task, content)).toEqual([0])
})

test('a newer record with other digests takes the place of what nobody writes any more', async () => {
  await using at = await tempStore()
  const task = await at.store.open(meta)
  const changed = changedIn(0)
  const newer = recordOf(task, changed, 0, { signer: 'seed-2' })
  const options = { record: newer, first: 1, count: 2, parentId: 'p' }
  {
    await using peer = task.writeBlocks({ ...options, record: recordOf(task, content, 0) })
    await giveAll(peer, blockOf(1))
    expect(() => task.writeBlocks(options)).toThrow(expect.objectContaining(corrupt))
    // Another signer of the same digests is no contradiction.
    await writeBlocks(task, content, { record: recordOf(task, content, 0, { signer: 'seed-2' }), first: 0 })
    expect(await readableRightly(task, content)).toEqual([0, 1])
  }
  await writeBlocks(task, changed, options)
  expect(await readableRightly(task, changed)).toEqual([1, 2])
  await writeBlocks(task, changed, { ...options, first: 0, count: 1 })
  expect(await heldRightly(task, changed)).toEqual([0])
})

test('whoever brings what, in whatever order, and leaves or lies: what is readable is right, and nothing right is lost', async () => {
  await using at = await tempStore({ bufferBytes: 4 * BLOCK_LENGTH })
  const chunkLength = fc.constantFrom(65_536, 300_001, BLOCK_LENGTH, 2_000_000)
  const blocks = fc.record({
    number: fc.integer({ min: 0, max: 1 }),
    range: fc.constantFrom<[number, number]>([0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [0, 3]),
    chunkLength,
    lies: fc.boolean(),
    leaves: fc.boolean(),
  })
  const source = fc.record({ chunkLength, given: fc.integer({ min: 0, max: 2 * PIECE }) })
  let number = 3000
  await fc.assert(
    fc.asyncProperty(
      fc.array(blocks, { maxLength: 9 }),
      fc.array(source, { maxLength: 2 }),
      async (writers, sources) => {
        const task = await at.store.open(metaOf({ taskId: taskIdOf(number++), contentLength: content.length }))
        const looks: Promise<unknown>[] = []
        task.onBlocks((piece) => looks.push(readableRightly(task, content, piece)))
        const lie = Buffer.alloc(content.length, 5)
        const bringing = writers.map(async ({ number, range: [first, count], chunkLength, lies, leaves }) => {
          const options = { record: recordOf(task, content, number), first, count, parentId: 'p' }
          const start = number * PIECE + first * BLOCK_LENGTH
          const bytes = (lies ? lie : content).subarray(
            start,
            Math.min(start + count * BLOCK_LENGTH, (number + 1) * PIECE),
          )
          await using writer = task.writeBlocks(options)
          await giveAll(writer, leaves ? bytes.subarray(0, bytes.length - 10) : bytes, chunkLength).catch(
            () => undefined,
          )
          if (leaves) return
          const ended = await writer.end().catch((error: unknown) => error)
          if (ended !== undefined) return expect([lies, ended]).toEqual([true, expect.objectContaining(corrupt)])
          for (let index = first; index < first + count; index++) expect(task.blocks(number)?.has(index)).toBe(true)
        })
        const reading = sources.map(async ({ chunkLength, given }) => {
          await using writer = task.write({ first: 0, end: 2, from: SOURCE })
          await giveAll(writer, content.subarray(0, given), chunkLength)
          await writer.end()
        })
        await Promise.all([...bringing, ...reading])
        await Promise.all(looks)
        await heldRightly(task, content)
        for (const piece of [0, 1]) {
          const set = await readableRightly(task, content, piece)
          const wanted = writers.filter((w) => w.number === piece && !w.lies && !w.leaves)
          for (const {
            range: [first, count],
          } of wanted) {
            for (let index = first; index < first + count; index++) expect(set).toContain(index)
          }
          expect(task.piece(piece) !== undefined).toBe(set.length === 3)
          if (task.piece(piece))
            expect(task.piece(piece)?.crc32).toBe(crc32(content.subarray(piece * PIECE, (piece + 1) * PIECE)))
        }
        await at.store.delete(task.meta.taskId)
      },
    ),
    { numRuns: 60 },
  )
})
