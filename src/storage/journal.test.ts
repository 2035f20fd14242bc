import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from '@node-rs/crc32'
import { blake3 } from '@napi-rs/blake-hash'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { HeldPiece } from './contract.ts'
import { decodeLine, type Entry, encodeLine } from './journal-format.ts'
import { replay } from './journal-state.ts'
import {
  contentOf,
  expectationOf,
  heldRightly,
  metaOf,
  openStore,
  PIECE,
  storedTask,
  tempDir,
  write,
} from './testing.ts'

const content = contentOf(2 * PIECE + 99)

function pieceOf(number: number): HeldPiece {
  const length = Math.min(PIECE, content.length - number * PIECE)
  return {
    number,
    offset: number * PIECE,
    length,
    crc32: 7 * number,
    blocks: Uint8Array.from(expectationOf(content, number).blocks ?? []),
    signature: { signer: 'hôst', signature: new Uint8Array(64).fill(number), contentLength: undefined },
    parentId: 'p-1',
    traffic: 'peer',
    costMs: 12,
    createdAt: 1_700_000_000_000,
  }
}

const entries: Entry[] = [
  { kind: 'task', boot: 'boot-1', meta: metaOf({ headers: { 'content-type': 'text/plain\n', 'x-ü': '' } }) },
  { kind: 'piece', piece: pieceOf(1), contentLength: undefined },
  { kind: 'signers', signers: [{ hostId: 'seed', publicKey: new Uint8Array(32).fill(9) }] },
  { kind: 'validators', validators: { etag: '"1"', lastModified: '' } },
  { kind: 'piece', piece: pieceOf(0), contentLength: undefined },
  { kind: 'length', contentLength: content.length },
  { kind: 'piece', piece: { ...pieceOf(2), signature: undefined }, contentLength: content.length },
  { kind: 'shared', facts: { size: content.length, mtimeNs: 1_700_000_000_123_456_789n } },
  { kind: 'dropped', numbers: [0] },
  { kind: 'unshared' },
  { kind: 'checked', boot: 'boot-2' },
]
const lines = entries.map((entry) => Buffer.from(encodeLine(entry)))
const journal = Buffer.concat(lines)
/** Where each line begins. */
const starts = lines.map((_, index) => Buffer.concat(lines.slice(0, index)).length)

function lineAt(byte: number): number {
  return starts.findLastIndex((start) => start <= byte)
}

test('what is written is what is read', () => {
  for (const [index, line] of lines.entries()) expect(decodeLine(line.subarray(0, -1))).toEqual(entries[index])
  const read = replay(journal)
  expect(read).toMatchObject({ cut: false, trustedBytes: journal.length })
  expect(read?.state).toMatchObject({ boot: 'boot-2', contentLength: content.length, shared: undefined })
  expect([...(read?.state.pieces.keys() ?? [])]).toEqual([1, 2])
})

test('a journal cut off at any byte is read up to its last whole line', () => {
  for (let length = 0; length < journal.length; length++) {
    const whole = starts.findLastIndex((start) => start <= length)
    const read = replay(journal.subarray(0, length))
    const expected = whole === 0 ? undefined : replay(journal.subarray(0, starts[whole]))?.state
    expect(read?.state).toEqual(expected)
    if (read !== undefined) expect(read).toMatchObject({ trustedBytes: starts[whole], cut: starts[whole] !== length })
  }
})

test('a byte that changed ends what is trusted, wherever it is', () => {
  for (let byte = 0; byte < journal.length; byte++) {
    const damaged = Buffer.from(journal)
    damaged.writeUInt8(damaged.readUInt8(byte) ^ (1 << (byte % 8)), byte)
    const read = replay(damaged)
    const line = lineAt(byte)
    expect(read?.state).toEqual(line === 0 ? undefined : replay(journal.subarray(0, starts[line]))?.state)
    if (read !== undefined) expect(read.cut).toBe(true)
  }
})

test('lines that make no sense are as wrong as damaged ones', () => {
  const nonsense: Entry[] = [
    { kind: 'task', boot: '', meta: metaOf() },
    { kind: 'length', contentLength: 5 },
    { kind: 'piece', piece: { ...pieceOf(0), offset: 1 }, contentLength: undefined },
    { kind: 'piece', piece: { ...pieceOf(0), length: PIECE - 1 }, contentLength: undefined },
    { kind: 'piece', piece: { ...pieceOf(0), blocks: new Uint8Array(32) }, contentLength: undefined },
    { kind: 'piece', piece: pieceOf(0), contentLength: 3 },
    { kind: 'piece', piece: { ...pieceOf(0), number: 3, offset: 3 * PIECE }, contentLength: undefined },
  ]
  for (const entry of nonsense) {
    const read = replay(Buffer.concat([journal, Buffer.from(encodeLine(entry))]))
    expect(read, JSON.stringify(entry.kind)).toMatchObject({ cut: true, trustedBytes: journal.length })
  }
})

test('no bytes at all make the reader fail, even with a right checksum', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void replay(bytes)))
  const kinds = fc.constantFrom('task', 'piece', 'length', 'signers', 'dropped', 'shared', 'checked', 'x')
  const line = fc.oneof(
    fc.json(),
    fc
      .tuple(kinds, fc.dictionary(fc.string(), fc.jsonValue()))
      .map(([kind, rest]) => JSON.stringify({ ...rest, kind })),
  )
  fc.assert(
    fc.property(line, (json) => {
      const damaged = Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}\n`)
      void replay(damaged)
      void replay(Buffer.concat([journal, damaged]))
    }),
  )
})

test('a store with a damaged journal never lists a wrong piece, and is whole again after fetching the rest', async () => {
  using dir = tempDir()
  const path = join(dir.path, 'tasks', 'aba', metaOf().taskId, '1', 'journal')
  {
    await using store = await openStore(dir.path)
    await storedTask(store, content)
  }
  const before = readFileSync(path)
  await fc.assert(
    fc.asyncProperty(fc.nat(before.length - 1), fc.option(fc.nat(255)), async (at, value) => {
      const damaged = value === null ? before.subarray(0, at) : Buffer.from(before).fill(value, at, at + 1)
      writeFileSync(path, damaged)
      await using store = await openStore(dir.path)
      const task = await store.open(metaOf({ contentLength: content.length }))
      await heldRightly(task, content)
      await write(task, content)
      expect(task.complete).toBe(true)
      expect(await heldRightly(task, content)).toEqual([0, 1, 2])
      if (task.pieces()[0]?.number !== 0) throw new Error('not ascending')
      await store.delete(task.meta.taskId)
      await storedTask(store, content)
    }),
    { numRuns: 30 },
  )
})

test('the example in docs/storage-format.md is a journal as this code reads and writes it', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/storage-format.md'), 'utf8')
  const example = /```journal\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const read = replay(Buffer.from(example))
  expect(read).toMatchObject({ cut: false, trustedBytes: Buffer.byteLength(example) })
  const decoded = example
    .trimEnd()
    .split('\n')
    .map((line) => decodeLine(Buffer.from(line)))
  expect(decoded.map((entry) => entry && encodeLine(entry)).join('')).toBe(example)
  expect(new Set(decoded.map((entry) => entry?.kind))).toEqual(new Set(entries.map((entry) => entry.kind)))
  const piece = decoded.find((entry) => entry?.kind === 'piece')?.piece
  expect(piece?.crc32).toBe(crc32('hello world'))
  expect(Buffer.from(piece?.blocks ?? [])).toEqual(blake3('hello world'))
})
