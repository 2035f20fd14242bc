import { expect, test } from 'vitest'
import { Failure, type Signer } from '#core'
import { silentLog } from '#runtime'
import type { StoredTask, TaskStore } from '#storage'
import type { ParentLink } from './from-parent.ts'
import { fetchFromParents, type RoundDeps } from './round.ts'
import {
  type Behaviour,
  bytesOf,
  contentOf,
  fakeLink,
  metaOf,
  newReader,
  parent,
  PIECE_LENGTH,
  recordOf,
  tempStore,
} from './swarm-fixture.ts'
import { RecordChecker } from './trust.ts'

const content = contentOf(3 * PIECE_LENGTH + 1000)
const seed = newReader()
const signed = (number: number) => recordOf(content, number, seed)
const flipped = (_: number, right: Buffer): Buffer => {
  const wrong = Buffer.from(right)
  wrong[right.length - 1] = (wrong[right.length - 1] ?? 0) ^ 1
  return wrong
}

async function round(
  behaviours: Readonly<Record<string, Behaviour>>,
  options: {
    signers?: readonly Signer[]
    contentLength?: number | undefined
    store?: TaskStore
  } & Partial<RoundDeps> = {},
  parents = Object.keys(behaviours),
) {
  const store = options.store ?? (await tempStore())
  const task = await store.open(metaOf('contentLength' in options ? options.contentLength : content.length))
  const link = fakeLink(behaviours)
  const records = new RecordChecker()
  records.trust(options.signers ?? [{ hostId: seed.hostId, publicKey: seed.key.publicKey }])
  const failures: { number: number; parent: string; code: string }[] = []
  const deps: RoundDeps = {
    link,
    records,
    requireRecords: false,
    concurrentPieces: 4,
    patienceMs: 50,
    log: silentLog,
    limit: (sink) => sink,
    inOrder: () => false,
    wanted: () => ({ first: 0, last: undefined }),
    failed: (number, { hostname }, { code }) => failures.push({ number, parent: hostname, code }),
    ...options,
  }
  await fetchFromParents(task, parents.map(parent), deps, new AbortController().signal)
  const { asked, askedBlocks } = link
  return { task, failures, asked, askedBlocks, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

const heldNumbers = (task: StoredTask): number[] => task.pieces().map(({ number }) => number)

test('all pieces come from several parents, and the bytes are right', async () => {
  await using done = await round({
    a: { content, record: signed, has: [0, 1] },
    b: { content, record: signed, has: [2, 3] },
  })
  expect(done.task.complete).toBe(true)
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
})

test('a parent that sends wrong bytes is left at once, reported as a liar, and its pieces come from another one', async () => {
  await using done = await round({
    liar: { content, record: signed, send: flipped },
    honest: { content, record: signed },
  })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
  expect(done.failures.every(({ parent, code }) => parent === 'liar' && code === 'piece.corrupt')).toBe(true)
})

test('nothing of a liar is held when there is nobody else', async () => {
  await using done = await round({ liar: { content, record: signed, send: flipped } })
  expect(heldNumbers(done.task)).toEqual([])
  expect(done.failures.length).toBeGreaterThan(0)
})

test('a liar cannot choose the digest: a record of its own key counts for nothing', async () => {
  const forged = contentOf(content.length, 2)
  const liar = newReader('liar')
  const forge = (number: number) => recordOf(forged, number, liar)
  await using done = await round({ liar: { content: forged, record: forge } }, { requireRecords: true })
  expect(heldNumbers(done.task)).toEqual([])
})

test('a record signed by the right host for another version, piece or task counts for nothing', async () => {
  const old = (number: number) => recordOf(content, number, seed, 'v0')
  const other = (number: number) => recordOf(content, (number + 1) % 3, seed)
  await using first = await round({ a: { content, record: old } }, { requireRecords: true })
  expect(heldNumbers(first.task)).toEqual([])
  await using second = await round({ a: { content, record: other } }, { requireRecords: true })
  expect(heldNumbers(second.task)).toEqual([])
})

test('bytes of a stock peer are checked against the record that somebody else has', async () => {
  await using done = await round({
    stock: { content, send: flipped },
    ours: {
      content,
      record: signed,
      lingers: true,
      send: () => new Failure('piece.missing', 'only the records are here'),
    },
  })
  expect(heldNumbers(done.task)).toEqual([])
  expect(done.failures).toContainEqual(expect.objectContaining({ parent: 'stock', code: 'piece.corrupt' }))
})

test('a stock peer that knows no records is used with its CRC-32', async () => {
  await using done = await round({ stock: { content } }, { signers: [] })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
})

test('a parent that dies keeps nobody waiting, and what it gave is kept', async () => {
  await using done = await round({
    dying: { content, record: signed, diesAfter: 2 },
    other: { content, record: signed, has: [3] },
  })
  expect(done.task.piece(3)).toBeDefined()
  expect(done.task.complete).toBe(false)
})

test('a piece that a parent has no more is asked of another one', async () => {
  const gone = (number: number, right: Buffer) => (number === 1 ? new Failure('piece.missing', 'gone') : right)
  await using done = await round({
    a: { content, record: signed, send: gone },
    b: { content, record: signed, has: [1] },
  })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
})

test('a round ends when its parents have told all and pieces are still missing', async () => {
  await using done = await round({ a: { content, record: signed, has: [0] } })
  expect(heldNumbers(done.task)).toEqual([0])
})

test('a round ends after its patience when parents stay and bring nothing', async () => {
  await using done = await round({ a: { content, record: signed, has: [0], lingers: true } })
  expect(heldNumbers(done.task)).toEqual([0])
})

test('parents that join the swarm later are asked, too', async () => {
  let asked = 0
  const refresh = () => Promise.resolve(asked++ === 0 ? [parent('late')] : [])
  await using done = await round(
    { first: { content, record: signed, has: [0], lingers: true }, late: { content, record: signed } },
    { refresh, patienceMs: 5000 },
    ['first'],
  )
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
  expect(done.asked['late']?.length).toBeGreaterThan(0)
})

test('a round ends when another plan is there for it', async () => {
  const refresh = () => Promise.resolve(undefined)
  await using done = await round(
    { a: { content, record: signed, has: [0], lingers: true } },
    { refresh, patienceMs: 20_000 },
  )
  expect(heldNumbers(done.task)).toEqual([0])
})

test('a short piece of which nobody knows that it is the last is not fetched again and again', async () => {
  const short = contentOf(1000)
  await using done = await round({ a: { content: short } }, { signers: [], contentLength: undefined })
  expect(heldNumbers(done.task)).toEqual([])
  expect(done.asked['a']).toEqual([0])
})

test('parents that left make room for those that join', async () => {
  const gone = Array.from({ length: 12 }, (_, n) => `gone${n}`)
  const nothing: Behaviour = { content, record: signed, diesAfter: 0 }
  const refresh = () => Promise.resolve([parent('late')])
  await using done = await round(
    {
      ...Object.fromEntries(gone.map((name) => [name, nothing])),
      stays: { content, record: signed, has: [0], lingers: true },
      late: { content, record: signed },
    },
    { refresh, patienceMs: 5000 },
    [...gone.slice(0, 11), 'stays'],
  )
  expect(done.task.complete).toBe(true)
})

test('a full round takes in who comes later, for one that is of no use', async () => {
  const first = Array.from({ length: 24 }, (_, n) => `first${n}`)
  const refresh = () => Promise.resolve([parent('late')])
  const same: Behaviour = { content, record: signed, has: [0], lingers: true }
  await using done = await round(
    { ...Object.fromEntries(first.map((name) => [name, same])), late: { content, record: signed } },
    { refresh, patienceMs: 5000 },
    first,
  )
  expect(done.task.complete).toBe(true)
})

test('a parent that never has what it tells of is left after a few such answers, and the scheduler is told of each', async () => {
  for (const blocks of [false, true]) {
    const missing = () => new Failure('piece.missing', 'not here')
    const link = fakeLink({ liar: { content, record: signed, blocks, send: missing } })
    let told = 0
    const telling: ParentLink = {
      ...link,
      async *sync(...asked) {
        for (; told < 200; told++) {
          yield* link.sync(...asked)
          await new Promise(setImmediate)
        }
      },
    }
    await using done = await round({ liar: { content } }, { link: telling })
    expect(heldNumbers(done.task)).toEqual([])
    expect(done.failures.length).toBeGreaterThan(0)
    expect(done.failures.length).toBeLessThan(10)
    expect(done.failures.every(({ parent, code }) => parent === 'liar' && code === 'piece.missing')).toBe(true)
  }
})

test('where no other parents are to be had for now, they are looked for again', async () => {
  let asked = 0
  const refresh = async () => {
    if (++asked < 3) throw new Failure('scheduler.unavailable', 'it takes too long')
    return [parent('late')]
  }
  await using done = await round(
    { first: { content, record: signed, has: [0], lingers: true }, late: { content, record: signed } },
    { refresh, patienceMs: 5000 },
    ['first'],
  )
  expect(done.task.complete).toBe(true)
})

test('blocks that are doubted while others come are fetched again, and no parent is blamed', async () => {
  const store = await tempStore()
  let asks = 0
  const send = (_: number, right: Buffer): Buffer => {
    if (++asks === 5) void store.verify('a'.repeat(64))
    return right
  }
  await using done = await round({ a: { content, record: signed, blocks: true, send } }, { store })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
  expect(done.failures).toEqual([])
})

test('only what is wanted is fetched', async () => {
  await using done = await round({ a: { content, record: signed } }, { wanted: () => ({ first: 1, last: 2 }) })
  expect(heldNumbers(done.task)).toEqual([1, 2])
})

test('the length of the content is learnt from a record that is believed', async () => {
  await using done = await round({ a: { content, record: signed } }, { contentLength: undefined })
  expect(done.task.contentLength).toBe(content.length)
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
})

test('a piece that cannot be in the task is never asked for', async () => {
  const longer = contentOf(content.length + 3 * PIECE_LENGTH)
  await using done = await round({ odd: { content: longer } }, { signers: [] })
  expect(done.asked['odd'] ?? []).not.toContain(4)
  expect(done.task.pieces().every(({ number }) => number < 3)).toBe(true)
})

test('blocks are fetched from several parents and make whole pieces', async () => {
  await using done = await round({
    a: { content, record: signed, blocks: true },
    b: { content, record: signed, blocks: true },
  })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
  const { a = [], b = [] } = done.askedBlocks
  expect(a.length).toBeGreaterThan(0)
  expect(b.length).toBeGreaterThan(0)
  expect(new Set([...a, ...b]).size).toBe(3 * 8 + 1)
})

test('a piece comes together from parents that have only parts of it, and keeps its record', async () => {
  await using done = await round({
    a: { content, record: signed, blocks: true, has: [0, 1, 3], partly: { 2: [0, 3, 4] } },
    b: { content, record: signed, blocks: true, has: [], partly: { 2: [1, 2, 5, 6, 7] } },
  })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
  expect(done.askedBlocks['b']?.toSorted()).toEqual(['2.1', '2.2', '2.5', '2.6', '2.7'])
  expect(Buffer.from(done.task.record(2)?.signature ?? [])).toEqual(Buffer.from(signed(2).signature))
})

test('a liar among those who give blocks is left at its first wrong block', async () => {
  await using done = await round({
    liar: { content, record: signed, blocks: true, send: (_, right) => Buffer.alloc(right.length) },
    honest: { content, record: signed, blocks: true, takesMs: 20 },
  })
  expect((await bytesOf(done.task)).equals(content)).toBe(true)
  expect(done.failures.every(({ parent, code }) => parent === 'liar' && code === 'piece.corrupt')).toBe(true)
  expect(done.failures).not.toEqual([])
})

test('blocks that only a liar has are never held', async () => {
  await using done = await round({ liar: { content, record: signed, blocks: true, send: flipped } })
  expect(done.task.complete).toBe(false)
  for (const { number, blocks } of done.task.pieces())
    expect(Buffer.from(blocks)).toEqual(Buffer.from(signed(number).blocks))
})

test('a parent that falls silent keeps nobody waiting', async () => {
  await using done = await round({
    silent: { content, record: signed, blocks: true, takesMs: 'for ever' },
    other: { content, record: signed, blocks: true },
  })
  expect(done.task.complete).toBe(true)
  expect(done.askedBlocks['silent']?.length).toBeGreaterThan(0)
  expect(done.failures).toEqual([])
})

test('what a slow parent was asked for last is asked of a faster one at the end', async () => {
  await using done = await round({
    slow: { content, record: signed, blocks: true, takesMs: 2000 },
    fast: { content, record: signed, blocks: true, takesMs: 2 },
  })
  const { slow = [], fast = [] } = done.askedBlocks
  expect(done.task.complete).toBe(true)
  expect(slow.length).toBeGreaterThan(0)
  expect(fast).toEqual(expect.arrayContaining(slow))
  expect(done.failures).toEqual([])
})

test('a small piece that comes along with its news is not asked for again, and is checked like any other', async () => {
  const small = contentOf(1000)
  const record = (number: number) => recordOf(small, number, seed)
  const meta = { contentLength: small.length }
  await using good = await round({ a: { content: small, record, blocks: true, along: small } }, meta)
  expect((await bytesOf(good.task)).equals(small)).toBe(true)
  expect(good.askedBlocks).toEqual({})
  await using bad = await round({ a: { content: small, record, blocks: true, along: flipped(0, small) } }, meta)
  expect(bad.task.complete).toBe(false)
  expect(bad.failures).toMatchObject([{ code: 'piece.corrupt' }])
})
