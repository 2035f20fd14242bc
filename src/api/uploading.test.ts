import { expect, test } from 'vitest'
import { SyncPiecesRequest, SyncPiecesResponse } from './messages.ts'
import { syncPiecesRequest, syncPiecesResponse, toldPieceOf } from './uploading.ts'

const MiB = 2 ** 20
const piece = { number: 1, offset: 4 * MiB, length: 3 * MiB }
const at = { ip: '10.0.0.1', tcpPort: 4000 }
const record = {
  ...piece,
  taskId: 't',
  version: 'v',
  pieceLength: 4 * MiB,
  contentLength: 7 * MiB,
  blocks: new Uint8Array(6 * 32).fill(1),
  signer: 'seed',
  signature: new Uint8Array(64).fill(2),
}

/** Over the wire and back. */
function told(response: SyncPiecesResponse): ReturnType<typeof toldPieceOf> {
  return toldPieceOf(SyncPiecesResponse.decode(SyncPiecesResponse.encode(response).finish()), 't')
}

test('a child reads of a piece what its parent told', () => {
  const whole = { ...piece, port: 4000, record, blocks: undefined, content: undefined, speaksBlocks: false, more: [] }
  expect(told(syncPiecesResponse(piece, at, record))).toEqual(whole)
  expect(told(syncPiecesResponse(piece, at, record, { speaksBlocks: true }))).toEqual({ ...whole, speaksBlocks: true })
})

test('a child reads which blocks of a piece are there', () => {
  const blocks = Uint8Array.of(0b10_0110)
  expect(told(syncPiecesResponse(piece, at, record, { speaksBlocks: true, blocks }))).toMatchObject({ blocks, record })
  const none = Uint8Array.of(0)
  expect(told(syncPiecesResponse(piece, at, record, { speaksBlocks: true, blocks: none }))).toMatchObject({
    blocks: none,
  })
})

test('a child reads the content that came along, also when that is no byte', () => {
  for (const content of [Uint8Array.of(1, 2, 3), new Uint8Array(0)]) {
    const small = { number: 0, offset: 0, length: content.length }
    expect(told(syncPiecesResponse(small, at, undefined, { content }))).toMatchObject({ content, record: undefined })
  }
})

test('a parent that names no port serves nothing', () => {
  expect(told(syncPiecesResponse(piece, { ip: '10.0.0.1', tcpPort: 0 }, undefined)).port).toBe(undefined)
})

test('a parent reads what a child asks for', () => {
  const asked = { hostId: 'h', taskId: 't', version: 'v', speaksBlocks: true, inOrder: true }
  const over = (request: SyncPiecesRequest): SyncPiecesRequest =>
    SyncPiecesRequest.decode(SyncPiecesRequest.encode(request).finish())
  expect(over(syncPiecesRequest({ ...asked, numbers: new Set([3, 1]) }))).toMatchObject({
    ...asked,
    interestedPieceNumbers: [3, 1],
    allPieces: false,
  })
  expect(over(syncPiecesRequest({ ...asked, numbers: undefined }))).toMatchObject({
    interestedPieceNumbers: [],
    allPieces: true,
  })
})
