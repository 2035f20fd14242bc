import { describe, expect, test } from 'vitest'
import { Failure } from '#core'
import {
  AnnounceHostRequest,
  AnnouncePeerRequest,
  Download,
  SyncPiecesRequest,
  SyncPiecesResponse,
} from './messages.ts'
import {
  checkAnnounceHost,
  checkAnnouncePeer,
  checkDownloadTask,
  checkIds,
  checkSyncPieces,
  checkSyncPiecesResponse,
} from './validate.ts'

const MiB = 2 ** 20

function complaint(check: () => void): string {
  try {
    check()
  } catch (error) {
    if (error instanceof Failure && error.code === 'usage.invalid') return error.message
    throw error
  }
  return ''
}

describe('a download', () => {
  const good = Download.fromPartial({
    url: 'd7yfs://host:56001/path',
    digest: `sha256:${'a'.repeat(64)}`,
    priority: 6,
    filteredQueryParams: ['Signature'],
    requestHeader: { Authorization: 'Bearer x', 'X-Empty': '' },
    pieceLength: 4 * 2 ** 20,
    range: { start: 0, length: 1 },
    tag: '',
  })
  const complain = (changes: Parameters<typeof Download.fromPartial>[0]): string =>
    complaint(() => checkDownloadTask({ download: Download.fromPartial({ ...good, ...changes }) }))

  test('as dfget sends it is taken', () => {
    expect(complain({})).toBe('')
    expect(complain({ digest: '', outputPath: '/data/x', rateLimit: 1, version: '' })).toBe('')
  })

  test('with a wrong field is refused by the name of the field', () => {
    expect(complaint(() => checkDownloadTask({}))).toMatch(/^download is missing/)
    expect(complain({ url: '/no/scheme' })).toMatch(/^download\.url/)
    expect(complain({ url: `http://a/${'x'.repeat(9000)}` })).toMatch(/^download\.url/)
    expect(complain({ type: 1 })).toMatch(/^download\.type/)
    expect(complain({ priority: 7 as 6 })).toMatch(/^download\.priority/)
    expect(complain({ digest: 'sha256:xyz' })).toMatch(/^download\.digest/)
    expect(complain({ pieceLength: 1024 })).toMatch(/^download\.piece_length/)
    expect(complain({ pieceLength: 2 ** 27 })).toMatch(/^download\.piece_length/)
    expect(complain({ range: { start: 5, length: 0 } })).toMatch(/^download\.range/)
    expect(complain({ filteredQueryParams: Array<string>(65).fill('x') })).toMatch(/^download\.filtered_query_params/)
    expect(complain({ outputPath: '/a\0b' })).toMatch(/^download\.output_path/)
    expect(complain({ rateLimit: 0 })).toMatch(/^download\.rate_limit/)
    expect(complain({ etag: '"a"\r\nHost: evil' })).toMatch(/^download\.etag/)
  })

  test('cannot smuggle headers', () => {
    expect(complain({ requestHeader: { 'X: y\r\nHost': 'evil' } })).toMatch(/^download\.request_header/)
    expect(complain({ requestHeader: { X: 'y\r\nHost: evil' } })).toMatch(/^download\.request_header/)
    const many = Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`h${i}`, '']))
    expect(complain({ requestHeader: many })).toMatch(/^download\.request_header/)
    expect(complain({ requestHeader: { X: 'y'.repeat(300_000) } })).toMatch(/^download\.request_header/)
  })
})

describe('a host', () => {
  const good = { id: '10.0.0.1-a', type: 1, hostname: 'a', ip: '10.0.0.1', port: 4000, downloadPort: 4000 }
  const complain = (changes: object): string =>
    complaint(() => checkAnnounceHost(AnnounceHostRequest.fromPartial({ host: { ...good, ...changes } })))

  test('as daemons announce it is taken, stock ones included', () => {
    expect(complain({})).toBe('')
    expect(complain({ ip: '::1', publicKey: new Uint8Array(32) })).toBe('')
  })

  test('with a wrong field is refused by the name of the field', () => {
    expect(complain({ id: '' })).toMatch(/^host\.id/)
    expect(complain({ id: 'a\nb' })).toMatch(/^host\.id/)
    expect(complain({ hostname: '' })).toMatch(/^host\.hostname/)
    expect(complain({ type: 4 })).toMatch(/^host\.type/)
    expect(complain({ ip: 'localhost' })).toMatch(/^host\.ip/)
    expect(complain({ port: 0 })).toMatch(/^host\.port/)
    expect(complain({ port: 70_000 })).toMatch(/^host\.port/)
    expect(complain({ publicKey: new Uint8Array(31) })).toMatch(/^host\.public_key/)
    expect(complaint(() => checkAnnounceHost({}))).toMatch(/^host is missing/)
  })
})

describe('other messages', () => {
  const ids = { hostId: 'h', taskId: 't', peerId: 'p' }

  test('need their ids', () => {
    expect(complaint(() => checkIds(ids))).toBe('')
    expect(complaint(() => checkIds({ ...ids, taskId: '' }))).toMatch(/^task_id is missing/)
    expect(complaint(() => checkIds({ ...ids, peerId: 'x'.repeat(600) }))).toMatch(/^peer_id/)
  })

  test('of a peer say something, and nothing oversized', () => {
    const complain = (request: AnnouncePeerRequest['request']): string =>
      complaint(() => checkAnnouncePeer({ ...ids, request }))
    expect(complain(undefined)).toMatch(/^request is missing/)
    expect(complain({ $case: 'registerPeerRequest', value: {} })).toMatch(/^download is missing/)
    expect(complain({ $case: 'downloadPeerFinishedRequest', value: {} })).toBe('')
    const { request } = AnnouncePeerRequest.fromPartial({
      request: { $case: 'downloadPieceFinishedRequest', value: { piece: { number: 1, length: 2 ** 27 } } },
    })
    expect(complain(request)).toMatch(/^piece\.length/)
  })

  test('of a child and of a parent are bounded', () => {
    const asked = SyncPiecesRequest.fromPartial({ ...ids, interestedPieceNumbers: [1, 2] })
    expect(complaint(() => checkSyncPieces(asked))).toBe('')
    expect(complaint(() => checkSyncPieces({ ...asked, hostId: '' }))).toMatch(/^host_id/)
    const record = { pieceLength: 4 * 2 ** 20, blocks: new Uint8Array(64), signer: 'h', signature: new Uint8Array(64) }
    const told = SyncPiecesResponse.fromPartial({ number: 1, length: 600_000, ip: '10.0.0.1', record })
    const complain = (changes: object): string => complaint(() => checkSyncPiecesResponse({ ...told, ...changes }))
    expect(complain({})).toBe('')
    expect(complain({ length: 2 ** 27 })).toMatch(/^length/)
    expect(complain({ length: 1 })).toMatch(/^record\.blocks/)
    expect(complain({ tcpPort: -1 })).toMatch(/^tcp_port/)
  })

  test('of a parent that has some blocks only tell a bit for each block of the piece, and no other', () => {
    const complain = (length: number, heldBlocks: number[], changes: object = {}): string => {
      const part = { number: 1, offset: length, length, speaksBlocks: true, heldBlocks: Uint8Array.from(heldBlocks) }
      return complaint(() => checkSyncPiecesResponse(SyncPiecesResponse.fromPartial({ ...part, ...changes })))
    }
    expect(complain(4 * MiB, [0b1000_0001])).toBe('')
    expect(complain(4 * MiB + 1, [255, 1])).toBe('')
    expect(complain(64 * MiB, Array<number>(16).fill(255))).toBe('')
    expect(complain(64 * MiB, Array<number>(17).fill(255))).toMatch(/^held_blocks has 17 bytes/)
    expect(complain(4 * MiB, [])).toMatch(/^held_blocks has 0 bytes/)
    expect(complain(4 * MiB, [1, 0])).toMatch(/^held_blocks has 2 bytes/)
    expect(complain(4 * MiB + 1, [255, 2])).toMatch(/^held_blocks has more than 9 blocks/)
    expect(complain(4 * MiB, [1], { speaksBlocks: false })).toMatch(/^held_blocks is of no use/)
  })

  test('of a parent that tells of many pieces at once are bounded', () => {
    const complain = (more: object[]): string =>
      complaint(() => checkSyncPiecesResponse(SyncPiecesResponse.fromPartial({ number: 1, length: 1, more })))
    expect(complain([{ number: 2, heldBlocks: new Uint8Array(16) }, { number: 3 }])).toBe('')
    expect(complain(Array.from({ length: 1025 }, (_, number) => ({ number })))).toMatch(/^more/)
    expect(complain([{ number: 2 ** 21 }])).toMatch(/^more\.number/)
    expect(complain([{ number: 2, heldBlocks: new Uint8Array(17) }])).toMatch(/^more\.held_blocks has 17 bytes/)
  })

  test('of a parent that sends the content along have the whole of it, and at most a block', () => {
    const complain = (length: number, bytes: number, changes: object = {}): string => {
      const whole = { number: 0, offset: 0, length, content: new Uint8Array(bytes) }
      return complaint(() => checkSyncPiecesResponse(SyncPiecesResponse.fromPartial({ ...whole, ...changes })))
    }
    expect(complain(1, 1)).toBe('')
    expect(complain(0, 0)).toBe('')
    expect(complain(MiB / 2, MiB / 2)).toBe('')
    expect(complain(MiB / 2 + 1, MiB / 2 + 1)).toMatch(/^content has 524289 bytes, more than/)
    expect(complain(2, 1)).toMatch(/^content has 1 bytes, not 2/)
    expect(complain(1, 1, { number: 1 })).toMatch(/^content belongs/)
    expect(complain(1, 1, { offset: 1 })).toMatch(/^content belongs/)
    expect(complain(1, 1, { speaksBlocks: true, heldBlocks: Uint8Array.of(1) })).toMatch(/^content belongs/)
  })
})
