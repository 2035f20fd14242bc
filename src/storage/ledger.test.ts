import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { HeldPiece } from './contract.ts'
import { encodeLine } from './journal-format.ts'
import { Ledger } from './ledger.ts'
import { OpenFiles } from './open-files.ts'
import { expectationOf, metaOf, PIECE, random, tempDir } from './testing.ts'

const content = random(2 * PIECE)
const meta = metaOf({ contentLength: content.length })

function pieceOf(number: number): HeldPiece {
  const blocks = Uint8Array.from(expectationOf(content, number).blocks ?? [])
  const origin = { signature: undefined, parentId: '', traffic: 'source' } as const
  return { number, offset: number * PIECE, length: PIECE, crc32: 1, blocks, ...origin, costMs: 0, createdAt: 0 }
}

/** A directory with a whole content and the journal of it. */
async function stored(boot = 'now') {
  const dir = tempDir()
  const journal = join(dir.path, 'journal')
  const warnings: string[] = []
  const open = (bootNow = boot): Ledger => {
    const facts = { meta, boot: bootNow, contentPath: join(dir.path, 'content'), estimatedBytes: 0 }
    return new Ledger({ ...facts, journal: new OpenFiles(2).file(journal), warn: (message) => warnings.push(message) })
  }
  writeFileSync(join(dir.path, 'content'), content)
  writeFileSync(journal, encodeLine({ kind: 'task', boot, meta }))
  const ledger = open()
  await ledger.hold(pieceOf(0))
  await ledger.hold(pieceOf(1))
  await ledger.close()
  return { journal, warnings, open, [Symbol.dispose]: () => dir[Symbol.dispose]() }
}

test('a journal that lost lines stays in doubt until all was checked, also when the process is killed before that', async () => {
  using at = await stored()
  appendFileSync(at.journal, '0123 a line that was not fini')
  expect(at.open()).toMatchObject({ suspicious: true, heldCount: 0 })
  const again = at.open() // nothing was checked in between
  expect(again).toMatchObject({ suspicious: true, heldCount: 0, storedBytes: content.length })
  for (const piece of again.suspects()) again.confirm(piece)
  await again.checked()
  expect(at.open()).toMatchObject({ suspicious: false, heldCount: 2 })
})

test('where no boot is known, nothing is trusted unchecked', async () => {
  using at = await stored('')
  expect(at.open()).toMatchObject({ suspicious: true, heldCount: 0 })
  expect(at.open('now')).toMatchObject({ suspicious: true, heldCount: 0 })
})

test('a piece that was written anew is not dropped for what was on disk before', async () => {
  using at = await stored('before')
  const ledger = at.open('now')
  const [old] = ledger.suspects()
  await ledger.hold(pieceOf(0))
  expect(await ledger.drop(old === undefined ? [] : [old])).toBe(0)
  expect(old !== undefined && ledger.confirm(old)).toBe(false)
  expect(ledger.piece(0)).toBeDefined()
})

test('signers are written when they change, and only then', async () => {
  using at = await stored()
  const ledger = at.open()
  const signers = [{ hostId: 'h', publicKey: new Uint8Array(32) }]
  await ledger.setSigners(signers)
  const { length } = readFileSync(at.journal)
  await ledger.setSigners([...signers])
  expect(readFileSync(at.journal).length).toBe(length)
  expect(at.open().signers).toEqual(signers)
})

test('a journal whose first line is damaged while it is in use begins anew, with a warning', async () => {
  using at = await stored()
  writeFileSync(at.journal, 'x', { flag: 'r+' })
  expect(at.open()).toMatchObject({ heldCount: 0, suspicious: false })
  expect(at.warnings).toHaveLength(1)
  const ledger = at.open()
  await ledger.hold(pieceOf(1))
  expect(
    at
      .open()
      .suspects()
      .map((piece) => piece.number),
  ).toEqual([1])
})
