import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  checkContentLength,
  decodeBlocksRequest,
  decodeError,
  decodeHeader,
  decodeMetadata,
  decodeMetadataLength,
  decodeRequest,
  HEADER_LENGTH,
  TAG,
} from './vortex/codec.ts'

const page = readFileSync('docs/protocol.md', 'utf8')

function example(name: string): Buffer {
  const [, hex = ''] = new RegExp(`\`\`\`hex ${name}\n([^\`]*)\`\`\``).exec(page) ?? []
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')
}

test('the page shows a request as it is', () => {
  const bytes = example('request')
  expect(decodeHeader(bytes)).toEqual({ tag: TAG.downloadPiece, length: bytes.length - HEADER_LENGTH })
  expect(decodeRequest(bytes.subarray(HEADER_LENGTH))).toEqual({ taskId: 'a'.repeat(64), number: 42 })
})

test('the page shows a piece as it is', () => {
  const bytes = example('piece')
  const header = decodeHeader(bytes)
  expect(header).toEqual({ tag: TAG.pieceContent, length: bytes.length - HEADER_LENGTH })
  const length = decodeMetadataLength(header, bytes.subarray(HEADER_LENGTH))
  const head = decodeMetadata(bytes.subarray(HEADER_LENGTH + 4))
  checkContentLength(header, length, head)
  const parts = { number: 1, offset: 1, length: 13, crc32: 1_475_635_037, parentId: '127.0.0.1-foo', costMs: 30_000 }
  expect(head).toMatchObject(parts)
})

test('the page shows a request for blocks, and their answer, as they are', () => {
  const bytes = example('blocks request')
  expect(decodeHeader(bytes)).toEqual({ tag: TAG.downloadBlocks, length: bytes.length - HEADER_LENGTH })
  const span = { taskId: 'a'.repeat(64), number: 42, first: 3, count: 5 }
  expect(decodeBlocksRequest(bytes.subarray(HEADER_LENGTH))).toEqual(span)
  const answer = example('blocks')
  expect(decodeHeader(answer)).toEqual({ tag: TAG.blocksContent, length: answer.length - HEADER_LENGTH })
})

test('the page shows an error as it is', () => {
  const bytes = example('error')
  expect(decodeHeader(bytes)).toEqual({ tag: TAG.error, length: bytes.length - HEADER_LENGTH })
  expect(decodeError(bytes.subarray(HEADER_LENGTH))).toEqual({ code: 2, message: 'Resource not found' })
})

test('the page lists every field that we added, and no other', () => {
  const added = ['common', 'scheduler', 'dfdaemon'].flatMap((name) => {
    const text = readFileSync(`proto/${name}/v2/${name}.proto`, 'utf8')
    const messages = text.matchAll(/^message (\w+) \{\n([\s\S]*?)^\}/gm)
    return [...messages].flatMap(([, message, body = '']) =>
      [...body.matchAll(/(\w+) = (1\d{3});/g)].map(([, field, number]) => `${message}.${field} = ${number}`),
    )
  })
  const section = page.slice(page.indexOf('## What we add'), page.indexOf('Messages of ours'))
  const listed = section.split('\n').flatMap((row) => {
    const [, names = '', fields = ''] = row.split('|')
    const messages = [...names.matchAll(/`(?:\w+\.v2\.)?(\w+)`/g)].map(([, message]) => message)
    return messages.flatMap((message) =>
      [...fields.matchAll(/`(\w+)` = (\d+)/g)].map(([, field, number]) => `${message}.${field} = ${number}`),
    )
  })
  expect(added.length).toBeGreaterThan(15)
  expect(listed.toSorted()).toEqual(added.toSorted())
})
