import { expect, test } from 'vitest'
import { hostId, isTaskId, newPeerId, normalizeUrl, taskId, versionOf } from './ids.ts'

const url = 'https://example.com'

test.each([
  [
    { url, pieceLength: 1024, tag: 'foo', application: 'bar', revision: 'v1.0' },
    '5844f27a257287e9b734256bb25603d8005422ced8c0377f15063ec11963b25f',
  ],
  [{ url, tag: 'foo', application: 'bar' }, '06408fbf247ddaca478f8cb9565fe5591c28efd0994b8fea80a6a87d3203c5ca'],
  [{ url, tag: 'foo' }, '3c3f230ef9f191dd2821510346a7bc138e4894bee9aee184ba250a3040701d2a'],
  [{ url, application: 'bar' }, 'c9f9261b7305c24371244f9f149f5d4589ed601348fdf22d7f6f4b10658fdba2'],
  [{ url, pieceLength: 1024 }, '9f7c9aafbc6f30f8f41a96ca77eeae80c5b60964b3034b0ee43ccf7b2f9e52b8'],
  [
    { url: `${url}?foo=foo&bar=bar`, filteredQueryParams: ['foo', 'bar'] },
    '457b4328cde278e422c9e243f7bfd1e97f511fec43a80f535cf6b0ef6b086776',
  ],
  [{ url, revision: 'v1.0' }, 'b171331534b80e0bf91da38ebbfcdbf4d177898f4b9beac44f14733e3f004d4e'],
  [{ url, content: 'This is a test file' }, 'e2d0fe1585a63ec6009c8016ff8dda8b17719a637405a4e23c0ff81339148249'],
])('a task has the id that every Dragonfly peer gives it (%#)', (identity, expected) => {
  expect(taskId(identity)).toBe(expected)
})

test('hosts and peers are named as on the wire, seeds marked', () => {
  expect(hostId('127.0.0.1', 'localhost', false)).toBe('127.0.0.1-localhost')
  expect(hostId('127.0.0.1', 'localhost', true)).toBe('127.0.0.1-localhost-seed')
  expect(newPeerId('127.0.0.1', 'a', true)).toMatch(/^127\.0\.0\.1-a-[0-9a-f-]{36}-seed$/)
  expect(newPeerId('127.0.0.1', 'a', false)).not.toBe(newPeerId('127.0.0.1', 'a', false))
})

test.each([
  ['https://example.com/', [], 'https://example.com'],
  ['https://example.com/?a=1', ['a'], 'https://example.com'],
  ['https://example.com/x?b=2&a=1&b=3', ['a'], 'https://example.com/x?b=2&b=3'],
  ['https://example.com/x?q=a%20b~', [], 'https://example.com/x?q=a+b%7E'],
  ['https://example.com/x?A=1', ['a'], 'https://example.com/x?A=1'],
  ['d7yfs://host:56001/path/to/resource', [], 'd7yfs://host:56001/path/to/resource'],
])('%s without %j is %s in an id', (text, filtered, expected) => {
  expect(normalizeUrl(text, filtered)).toBe(expected)
})

test('only 64 hex digits can name a task on disk', () => {
  expect(isTaskId('a'.repeat(64))).toBe(true)
  for (const bad of ['', 'A'.repeat(64), 'a'.repeat(63), `${'a'.repeat(63)}/`, '../'.repeat(21), 'a'.repeat(65)])
    expect(isTaskId(bad)).toBe(false)
})

test('a version changes with the ETag, with the date where there is no ETag, and is empty without both', () => {
  expect(versionOf({})).toBe('')
  expect(versionOf({ etag: '"a"' })).not.toBe(versionOf({ etag: '"b"' }))
  expect(versionOf({ etag: '"a"', lastModified: 'x' })).toBe(versionOf({ etag: '"a"', lastModified: 'y' }))
  expect(versionOf({ lastModified: 'x' })).not.toBe(versionOf({ lastModified: 'y' }))
})

test('what is no URL is refused by name', () => {
  expect(() => taskId({ url: 'no url' })).toThrow(/"no url" is not a URL/)
})
