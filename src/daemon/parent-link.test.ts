import { expect, test } from 'vitest'
import { BlockConnections, type SyncPiecesResponse, syncPiecesResponse, type UploadClient } from '#api'
import { parentLink } from './parent-link.ts'
import { contentOf, newReader, parent, PIECE_LENGTH, recordOf, TASK_ID } from './swarm-fixture.ts'

test('what is kept of an announcement does not keep the message that it came in', async () => {
  const message = new Uint8Array(2 ** 20)
  const inMessage = (bytes: Uint8Array): Uint8Array => {
    message.set(bytes, 1000)
    return message.subarray(1000, 1000 + bytes.length)
  }
  const record = recordOf(contentOf(PIECE_LENGTH), 0, newReader())
  const said = { ...record, blocks: inMessage(record.blocks) }
  const at = { ip: '127.0.0.1', tcpPort: 1 }
  const response = syncPiecesResponse(record, at, said, { speaksBlocks: true })
  const asReceived = { ...response, heldBlocks: message.subarray(0, 1) }
  async function* syncPieces(): AsyncGenerator<SyncPiecesResponse> {
    yield asReceived
  }
  await using connections = new BlockConnections({ connectTimeoutMs: 1, timeoutMs: 1, silentMs: 1 })
  const client = (): UploadClient => ({ syncPieces }) as unknown as UploadClient
  const link = parentLink({ hostId: 'me', client, connections, pieceTimeoutMs: 1 })
  const ask = { taskId: TASK_ID, version: 'v1', numbers: [0], inOrder: false }
  for await (const { record: heard, blocks } of link.sync(parent('a'), ask, AbortSignal.timeout(5000))) {
    expect(Buffer.from(heard?.blocks ?? [])).toEqual(Buffer.from(record.blocks))
    for (const kept of [heard?.blocks, heard?.signature, blocks])
      expect(kept?.buffer.byteLength).toBe(kept?.byteLength ?? -1)
  }
  expect.assertions(4)
})
