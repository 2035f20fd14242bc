import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blake3 } from '@napi-rs/blake-hash'
import { BLOCK_LENGTH, type ByteSink, fill, type PieceRecord, pieceSpan } from '#core'
import type { BlockWriteOptions, Expectation, StoredTask, TaskMeta, TaskStore, WriteOptions } from './contract.ts'
import { openTaskStore, type TaskStoreOptions } from './disk.ts'

/** What the tests of the storage share. */

export const PIECE = 2 ** 20 + 1000 // two whole blocks and a short one
export const SOURCE = { traffic: 'source' } as const

export function tempDir(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'storage-test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** A small file system of its own, where the user may mount one. */
export function mountTmpfs(path: string, size: string): Disposable | undefined {
  try {
    mkdirSync(path)
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  return { [Symbol.dispose]: () => void execFileSync('umount', ['-l', path]) }
}

export function openStore(dir: string, options: Partial<TaskStoreOptions> = {}): Promise<TaskStore> {
  return openTaskStore({ dir, warn: () => undefined, ...options })
}

/** A store in a directory of its own that goes with it. */
export async function tempStore(options: Partial<TaskStoreOptions> = {}) {
  const dir = tempDir()
  const store = await openStore(dir.path, options)
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]()
    dir[Symbol.dispose]()
  }
  return { store, dir: dir.path, [Symbol.asyncDispose]: close }
}

export function metaOf(changes: Partial<TaskMeta> = {}): TaskMeta {
  return {
    taskId: 'ab'.repeat(32),
    url: 'http://origin/file',
    tag: '',
    application: '',
    filteredQueryParams: [],
    pieceLength: PIECE,
    version: 'v1',
    etag: '"1"',
    lastModified: '',
    contentLength: undefined,
    headers: {},
    ...changes,
  }
}

export function taskIdOf(number: number): string {
  return number.toString(16).padStart(4, '0').repeat(16)
}

/** Bytes that differ everywhere, the same for the same seed. */
export function contentOf(length: number, seed = 1): Buffer {
  const content = Buffer.allocUnsafe(length)
  let state = seed * 2654435761
  for (let at = 0; at < length; at++) {
    if (at % 64 === 0) state = Math.imul(state ^ (state >>> 15), 2246822519) + at + seed
    content[at] = (state >>> (at % 24)) + at
  }
  return content
}

export const random = (length: number): Buffer => randomBytes(length)

/** What a record would say of a piece of `content`. */
export function expectationOf(content: Buffer, number: number, pieceLength = PIECE): Expectation {
  const { offset, length } = pieceSpan(number, pieceLength, content.length)
  const digests: Buffer[] = []
  for (let at = 0; at < length; at += BLOCK_LENGTH) {
    digests.push(blake3(content.subarray(offset + at, offset + Math.min(at + BLOCK_LENGTH, length))))
  }
  return { blocks: Buffer.concat(digests) }
}

/** The record of a piece of `content`, by somebody who is believed. */
export function recordOf(
  task: StoredTask,
  content: Buffer,
  number: number,
  changes: Partial<PieceRecord> = {},
): PieceRecord {
  const { taskId, version, pieceLength } = task.meta
  const { offset, length } = pieceSpan(number, pieceLength, content.length)
  const blocks = expectationOf(content, number, pieceLength).blocks ?? Buffer.alloc(0)
  const contentLength = offset + length === content.length ? content.length : undefined
  const signed = { signer: 'seed', signature: Buffer.alloc(64, 7), contentLength }
  return { taskId, version, pieceLength, number, offset, length, blocks, ...signed, ...changes }
}

/** Writes blocks of a piece from `content`, and ends the writer. */
export async function writeBlocks(
  task: StoredTask,
  content: Buffer,
  options: Partial<BlockWriteOptions> & { number?: number; chunkLength?: number } = {},
): Promise<void> {
  const { number = 0, chunkLength, record = recordOf(task, content, number), first = 0, count = 1 } = options
  await using writer = task.writeBlocks({ record, first, count, parentId: 'parent-1', ...options })
  const start = record.offset + first * BLOCK_LENGTH
  const end = Math.min(start + count * BLOCK_LENGTH, record.offset + record.length)
  await giveAll(writer, content.subarray(start, end), chunkLength)
  await writer.end()
}

/** Writes a run of pieces from `content` in chunks of `chunkLength`, and ends the writer. */
export async function write(
  task: StoredTask,
  content: Buffer,
  options: Partial<WriteOptions> & { chunkLength?: number } = {},
): Promise<void> {
  const { chunkLength = 70_001, first = 0, ...rest } = options
  await using writer = task.write({ first, from: SOURCE, ...rest })
  const start = first * task.meta.pieceLength
  const end = rest.end === undefined ? content.length : Math.min(rest.end * task.meta.pieceLength, content.length)
  await giveAll(writer, content.subarray(start, end), chunkLength)
  await writer.end({ eof: end === content.length })
}

export async function giveAll(sink: ByteSink, bytes: Uint8Array, chunkLength = 70_001): Promise<void> {
  for (let at = 0; at < bytes.length; at += chunkLength) await fill(sink, bytes.subarray(at, at + chunkLength))
}

/** Indexes of the readable blocks of a piece, after each one's bytes were compared with `content`. */
export async function readableRightly(task: StoredTask, content: Buffer, number = 0): Promise<number[]> {
  const { pieceLength } = task.meta
  const { offset, length } = pieceSpan(number, pieceLength, content.length)
  const set = task.blocks(number)
  const indexes = Array.from({ length: set?.count ?? 0 }, (_, index) => index).filter((index) => set?.has(index))
  for (const index of indexes) {
    const start = offset + index * BLOCK_LENGTH
    const bytes = Buffer.alloc(Math.min(BLOCK_LENGTH, offset + length - start))
    const read = await task.read(start, bytes)
    if (read !== bytes.length || !bytes.equals(content.subarray(start, start + read))) {
      throw new Error(`block ${index} of piece ${number} has other bytes than it should`)
    }
  }
  return indexes
}

/** A complete task with this content. */
export async function storedTask(
  store: TaskStore,
  content: Buffer,
  changes: Partial<TaskMeta> = {},
): Promise<StoredTask> {
  const task = await store.open(metaOf({ contentLength: content.length, ...changes }))
  if (!task.complete) await write(task, content)
  return task
}

/** Numbers of the pieces held, after each one's bytes were compared with `content`. */
export async function heldRightly(task: StoredTask, content: Buffer): Promise<number[]> {
  for (const { offset, length, number } of task.pieces()) {
    const bytes = Buffer.alloc(length)
    const read = await task.read(offset, bytes)
    if (read !== length || !bytes.equals(content.subarray(offset, offset + length))) {
      throw new Error(`piece ${number} has other bytes than it should`)
    }
  }
  return task.pieces().map((piece) => piece.number)
}
