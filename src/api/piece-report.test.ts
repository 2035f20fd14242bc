import { expect, test } from 'vitest'
import { AnnouncePeerRequest, Piece, TrafficType } from './messages.ts'
import { announcedPeer, readPieceReport } from './piece-report.ts'

const IDS = { hostId: '10.0.0.1-node', taskId: 'a'.repeat(64), peerId: '10.0.0.1-node-0f8fad5b' }
const PIECE = {
  number: 2559,
  parentId: '10.0.0.2-node-0f8fad5b',
  offset: 2559 * 2 ** 22,
  length: 2 ** 22,
  digest: 'crc32:1475635037',
  trafficType: TrafficType.REMOTE_PEER,
  cost: { seconds: 0, nanos: 35e6 },
  createdAt: { seconds: 1_790_000_000, nanos: 5e6 },
}

function reportOf(piece: Partial<Piece>, more: Partial<AnnouncePeerRequest> = {}): AnnouncePeerRequest {
  const value = { piece: Piece.fromPartial(piece) }
  return AnnouncePeerRequest.fromPartial({
    ...IDS,
    request: { $case: 'downloadPieceFinishedRequest', value },
    ...more,
  })
}

function bytesOf(message: AnnouncePeerRequest): Uint8Array {
  return AnnouncePeerRequest.encode(message).finish()
}

test('a report of a piece is read by hand, and every field of it', () => {
  const message = reportOf(PIECE)
  expect(readPieceReport(bytesOf(message))).toEqual(AnnouncePeerRequest.decode(bytesOf(message)))
  expect(readPieceReport(Buffer.from(bytesOf(message)))).toEqual(AnnouncePeerRequest.decode(bytesOf(message)))
  const fromOrigin = reportOf(
    { ...PIECE, parentId: undefined },
    { request: { $case: 'downloadPieceBackToSourceFinishedRequest', value: { piece: Piece.fromPartial(PIECE) } } },
  )
  expect(readPieceReport(bytesOf(fromOrigin))).toEqual(AnnouncePeerRequest.decode(bytesOf(fromOrigin)))
})

const UNUSUAL: readonly [string, AnnouncePeerRequest][] = [
  ['another message', AnnouncePeerRequest.fromPartial({ ...IDS, request: { $case: 'downloadPeerStartedRequest' } })],
  ['an id that is not ASCII', reportOf(PIECE, { hostId: 'knödel' })],
  ['the bytes of a piece', reportOf({ ...PIECE, content: new Uint8Array([1, 2, 3]) })],
  ['a number of 2^32 - 1', reportOf({ ...PIECE, number: 2 ** 32 - 1 })],
  ['an offset of 2^50', reportOf({ ...PIECE, offset: 2 ** 50 })],
  ['a negative cost', reportOf({ ...PIECE, cost: { seconds: -1, nanos: -1 } })],
  ['a field of a newer version', reportOf(PIECE, { _unknownFields: { 8002: [new Uint8Array([1, 7])] } })],
  [
    'a field of a newer version in the piece',
    reportOf({ ...PIECE, _unknownFields: { 8002: [new Uint8Array([1, 7])] } }),
  ],
]

test.each(UNUSUAL)('%s is left to the general reader, and read all the same', (_, message) => {
  const bytes = bytesOf(message)
  expect(readPieceReport(bytes)).toBeUndefined()
  expect(announcedPeer.decode(bytes)).toEqual(AnnouncePeerRequest.decode(bytes))
})

test('whatever the bytes are, both readers say the same', () => {
  const random = randomFrom(7)
  const bytes = bytesOf(reportOf(PIECE))
  let read = 0
  for (let round = 0; round < 30_000; round++) {
    const changed = broken(bytes, random)
    const fast = readPieceReport(changed)
    if (fast === undefined) continue
    read++
    expect(fast).toEqual(AnnouncePeerRequest.decode(changed))
  }
  expect(read).toBeGreaterThan(1000)
})

test('a message that is kept keeps none of the bytes it was read from', () => {
  const bytes = bytesOf(reportOf({ ...PIECE, content: new Uint8Array([1, 2, 3]) }))
  const { request } = announcedPeer.decode(bytes)
  bytes.fill(0)
  expect(request).toMatchObject({ value: { piece: { number: 2559, content: new Uint8Array([1, 2, 3]) } } })
})

/** One to three bytes are others, are missing, or stand twice; perhaps the end is cut off. */
function broken(bytes: Uint8Array, random: () => number): Uint8Array {
  const list = [...bytes]
  const below = (most: number): number => Math.floor(random() * most)
  for (let change = 0; change <= below(3); change++) {
    const at = below(list.length)
    const kind = below(4)
    if (kind === 0) list[at] = below(256)
    else if (kind === 1) list[at] = (list[at] ?? 0) ^ (1 << below(8))
    else if (kind === 2) list.splice(at, 1)
    else list.splice(at, 0, list[at] ?? 0)
  }
  return Uint8Array.from(below(10) === 0 ? list.slice(0, below(list.length)) : list)
}

function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
