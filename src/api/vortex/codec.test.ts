import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Failure, MAX_PIECE_LENGTH } from '#core'
import {
  checkContentLength,
  decodeBlocksRequest,
  decodeError,
  decodeHeader,
  decodeMetadata,
  decodeMetadataLength,
  decodeRequest,
  digestOf,
  encodeBlocksHeader,
  encodeBlocksRequest,
  encodeContentPrefix,
  encodeError,
  encodeRequest,
  ERROR_CODE,
  HEADER_LENGTH,
  type PieceHead,
  TAG,
} from './codec.ts'
import { RequestReader } from './request-reader.ts'

/** Without the first byte, the packet id: it is random. */
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').slice(2)

function decodePrefix(bytes: Uint8Array): PieceHead {
  const header = decodeHeader(bytes)
  const length = decodeMetadataLength(header, bytes.subarray(HEADER_LENGTH, HEADER_LENGTH + 4))
  const head = decodeMetadata(bytes.subarray(HEADER_LENGTH + 4, HEADER_LENGTH + 4 + length))
  checkContentLength(header, length, head)
  return head
}

const example = {
  number: 1,
  offset: 1,
  length: 13,
  digest: 'crc32:864bbb04',
  parentId: '127.0.0.1-foo',
  trafficType: 1,
  costMs: 30_000,
  createdAt: 1_693_152_000_000,
}

describe('bytes that stock peers send', () => {
  test('a header', () => {
    expect(decodeHeader(Buffer.from('2a0000000400', 'hex'))).toEqual({ tag: TAG.downloadPiece, length: 1024 })
    expect(() => decodeHeader(Buffer.from('2a0000', 'hex'))).toThrow(Failure)
  })

  test('a request', () => {
    const bytes = `0000000044${'61'.repeat(64)}0000002a`
    expect(hex(encodeRequest('a'.repeat(64), 42))).toBe(bytes)
    const value = Buffer.from(bytes, 'hex').subarray(5)
    expect(decodeRequest(value)).toEqual({ taskId: 'a'.repeat(64), number: 42 })
  })

  test('the head of a piece', () => {
    const bytes =
      '010000004c000000480000000100000000000000010000000000000' +
      '00d0000000e63726333323a38363462626230340000000d3132372e302e302e312d666f6f' +
      '01000000000000001e0000000064eb7300'
    expect(hex(encodeContentPrefix(example))).toBe(bytes)
    // Hex digits are no CRC-32 as the wire writes it, so nothing is believed of this digest.
    expect(decodePrefix(Buffer.from(`07${bytes}`, 'hex'))).toEqual({ ...example, crc32: undefined })
  })

  test('the header may count the content, too, but nothing else', () => {
    const bytes = Buffer.from(encodeContentPrefix(example))
    bytes.writeUInt32BE(bytes.readUInt32BE(2) + example.length, 2)
    expect(decodePrefix(bytes)).toMatchObject({ length: 13 })
    bytes.writeUInt32BE(bytes.readUInt32BE(2) + 1, 2)
    expect(() => decodePrefix(bytes)).toThrow(Failure)
  })

  test('an error', () => {
    const bytes = 'ff00000013025265736f75726365206e6f7420666f756e64'
    expect(hex(encodeError(ERROR_CODE.notFound, 'Resource not found'))).toBe(bytes)
    const value = Buffer.from(bytes, 'hex').subarray(5)
    expect(decodeError(value)).toEqual({ code: ERROR_CODE.notFound, message: 'Resource not found' })
  })

  test('lengths of metadata', () => {
    const lengthOf = (digest: string, parentId: string): number =>
      Buffer.from(encodeContentPrefix({ ...example, digest, parentId })).readUInt32BE(HEADER_LENGTH)
    expect(lengthOf('crc32:864bbb04', '127.0.0.1-foo')).toBe(72)
    expect(lengthOf('d'.repeat(32), 'test_parent_id')).toBe(91)
  })

  test('the digest is a decimal CRC-32', () => {
    expect(digestOf(1_475_635_037)).toBe('crc32:1475635037')
    expect(decodePrefix(encodeContentPrefix({ ...example, digest: 'crc32:1475635037' })).crc32).toBe(1_475_635_037)
  })
})

describe('what only hosts of ours say', () => {
  test('a request for blocks', () => {
    const span = { taskId: 'a'.repeat(64), number: 42, first: 3, count: 5 }
    const bytes = `c80000004c${'61'.repeat(64)}0000002a0000000300000005`
    expect(hex(encodeBlocksRequest(span))).toBe(bytes)
    expect(decodeBlocksRequest(Buffer.from(bytes, 'hex').subarray(5))).toEqual(span)
  })

  test('the header of blocks counts their bytes, and nothing else', () => {
    expect(hex(encodeBlocksHeader(524_288))).toBe('c900080000')
  })

  test('blocks that no piece has are refused', () => {
    const span = { taskId: 'a'.repeat(64), number: 0 }
    const over = (first: number, count: number): unknown =>
      decodeBlocksRequest(encodeBlocksRequest({ ...span, first, count }).subarray(HEADER_LENGTH))
    expect(over(0, 128)).toMatchObject({ first: 0, count: 128 })
    expect(over(127, 1)).toMatchObject({ first: 127, count: 1 })
    const wrong = [
      [0, 0],
      [0, 129],
      [128, 1],
      [2 ** 32 - 1, 1],
      [1, 2 ** 32 - 1],
    ] as const
    for (const [first, count] of wrong) expect(() => over(first, count)).toThrow(/no piece has/)
  })
})

describe('whatever comes', () => {
  const seconds = fc.integer({ min: 0, max: 10 ** 10 }).map((value) => value * 1000)

  test('what was written is read back', () => {
    const head = fc.record({
      number: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      offset: fc.integer({ min: 0, max: 2 ** 52 }),
      length: fc.integer({ min: 0, max: MAX_PIECE_LENGTH }),
      digest: fc.string({ maxLength: 64 }),
      parentId: fc.string({ unit: 'binary', maxLength: 200 }),
      trafficType: fc.integer({ min: 0, max: 255 }),
      costMs: seconds,
      createdAt: seconds,
    })
    fc.assert(
      fc.property(head, (given) => {
        expect(decodePrefix(encodeContentPrefix(given))).toMatchObject(given)
      }),
    )
  })

  test('garbage is refused with piece.corrupt, never anything else', () => {
    const readRequests = (bytes: Uint8Array): unknown => new RequestReader().read(bytes)
    const readers = [
      readRequests,
      decodeBlocksRequest,
      decodeHeader,
      decodeRequest,
      decodeMetadata,
      decodePrefix,
      decodeError,
    ]
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(90), fc.nat(255)).map(([at, value]) => {
        const near = Buffer.from(encodeContentPrefix(example))
        near[at % near.length] = value
        return new Uint8Array(near)
      }),
    )
    fc.assert(
      fc.property(bytes, fc.constantFrom(...readers), (given, read) => {
        try {
          read(given)
        } catch (error) {
          const short = read === decodePrefix && given.length < HEADER_LENGTH + 4
          if (!short) expect(error).toMatchObject({ code: 'piece.corrupt' })
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('a piece that claims to be huge is refused', () => {
    const bytes = Buffer.from(encodeContentPrefix({ ...example, length: MAX_PIECE_LENGTH + 1 }))
    expect(() => decodePrefix(bytes)).toThrow(/over/)
  })

  test('an id of another length cannot be asked for', () => {
    for (const id of ['', 'a'.repeat(63), 'a'.repeat(128), `${'a'.repeat(63)}é`]) {
      expect(() => encodeRequest(id, 0)).toThrow(Failure)
      expect(() => encodeBlocksRequest({ taskId: id, number: 0, first: 0, count: 1 })).toThrow(Failure)
    }
  })

  test('requests are the same however they are cut', () => {
    const number = fc.integer({ min: 0, max: 2 ** 32 - 1 })
    const taskId = 'a'.repeat(64)
    const request = fc.oneof(
      number.map((n) => ({ kind: 'piece' as const, taskId, number: n })),
      fc
        .tuple(number, fc.integer({ min: 0, max: 64 }), fc.integer({ min: 1, max: 64 }))
        .map(([n, first, count]) => ({ kind: 'blocks' as const, taskId, number: n, first, count })),
    )
    fc.assert(
      fc.property(fc.array(request), fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (requests, cuts) => {
        const bytes = Buffer.concat(
          requests.map((one) =>
            one.kind === 'piece' ? encodeRequest(one.taskId, one.number) : encodeBlocksRequest(one),
          ),
        )
        const reader = new RequestReader()
        const read: unknown[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = at + (cuts[i % cuts.length] ?? 1)
          read.push(...reader.read(bytes.subarray(at, end)))
          at = end
        }
        expect(read).toEqual(requests)
      }),
    )
  })
})
