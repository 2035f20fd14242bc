import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { downloadCommand } from './download-command.ts'
import { type DownloadFlags, type Order, readOrder } from './order.ts'

const dir = mkdtempSync(join(tmpdir(), 'order-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
mkdirSync(join(dir, 'folder'))
writeFileSync(join(dir, 'file'), '')

const PLACES = { workhome: '/w', logdir: '/l' }
const URL_A = 'http://host/dir/model.bin?v=1'

/** The way from words to an order, as a shell would give them. */
function order(...words: string[]): Order {
  let seen: { flags: DownloadFlags; url: string | undefined } | undefined
  const command = downloadCommand((flags, url) => {
    seen = { flags, url }
  })
  command.exitOverride().configureOutput({ outputError: () => {} })
  command.parse(words, { from: 'user' })
  if (seen === undefined) throw new Error('the command did not run')
  return readOrder(seen.flags, seen.url, dir, PLACES)
}

test('a URL alone is an order: the file lands under its own name where one stands', () => {
  expect(order(URL_A)).toMatchObject({
    url: URL_A,
    output: join(dir, 'model.bin'),
    headers: {},
    tag: '',
    filteredQueryParams: [],
    digest: undefined,
    range: undefined,
    rateLimitBytes: undefined,
    timeoutMs: 0,
    pattern: 'p2p',
    disableBackSource: false,
    showProgress: undefined,
    directories: PLACES,
    warnings: [],
  })
})

test.each<[string[], Partial<Order>]>([
  [['-u', 'http://host/b', 'http://host/a'], { url: 'http://host/b' }],
  [['--url', 'd7yfs://host:56001/path/to/resource', '-O', 'f'], { output: join(dir, 'f') }],
  [['http://host/a%20b'], { output: join(dir, 'a b') }],
  [['http://host/a', '-O', '/x/../tmp/y'], { output: '/tmp/y' }],
  [['http://host/', '-O', '-'], { output: undefined }],
  [['http://host/a', '--limit', '1M'], { rateLimitBytes: 2 ** 20 }],
  [['http://host/a', '--limit', '0.0B'], { rateLimitBytes: undefined }],
  [['http://host/a', '--timeout', '1m30s'], { timeoutMs: 90_000 }],
  [['http://host/a', '--digest', `md5:${'A'.repeat(32)}`], { digest: { algorithm: 'md5', hex: 'a'.repeat(32) } }],
  [['http://host/a', '--filter', 'sign&time'], { filteredQueryParams: ['sign', 'time'] }],
  [['http://host/a', '-H', 'A: 1, 2,3', '-H', 'b:x:y', '-H', 'a: 4'], { headers: { a: '1, 2,3, 4', b: 'x:y' } }],
  [['http://host/a', '-H', 'Cookie: a=1', '-H', 'cookie: b=2'], { headers: { cookie: 'a=1; b=2' } }],
  [['http://host/a?x=1#part'], { url: 'http://host/a?x=1', output: join(dir, 'a') }],
  [['http://host/a', '--header', 'Accept: text/html, */*;q=0.8'], { headers: { accept: 'text/html, */*;q=0.8' } }],
  [['http://host/a', '--range', '0-9'], { range: { start: 0, end: 9 } }],
  [['http://host/a', '--range', '5-'], { range: { start: 5, end: undefined } }],
  [['http://host/a', '--range=-7'], { range: { last: 7 } }],
  [['http://host/a', '-p', 'cdn'], { pattern: 'cdn' }],
  [['http://host/a', '-b'], { showProgress: true }],
  [['http://host/a', '--no-show-progress'], { showProgress: false }],
  [['http://host/a', '--scheduler', 'a:1,b:2', '--scheduler', 'c:3'], { schedulers: ['a:1', 'b:2', 'c:3'] }],
  [['http://host/a', '--plugin-dir', 'p', '--plugin-dir', '/q'], { pluginDirs: [join(dir, 'p'), '/q'] }],
  [['http://host/a', '--range', '1-2', '--original-offset'], { originalOffset: true }],
  [['file:///etc/hostname'], { output: join(dir, 'hostname') }],
])('%j is understood', (words, expected) => {
  expect(order(...words)).toMatchObject(expected)
})

test('a Range header counts more than --range, is no header any more, and the user is told', () => {
  const { range, headers, warnings } = order(URL_A, '--range', '0-9', '-H', 'rAnGe: bytes=10-19')
  expect(range).toEqual({ start: 10, end: 19 })
  expect(headers).toEqual({})
  expect(warnings).toEqual(['the Range header (bytes=10-19) is used, --range 0-9 is not'])
})

test.each<[string[], RegExp]>([
  [[], /no URL was given.*dfget URL -O FILE/],
  [['model.bin'], /"model\.bin" is not a URL.*scheme:\/\/host\/path/],
  [['http:///path'], /url|URL/],
  [['d7yfs:path'], /invalid argument.*names no host/],
  [['http://host/'], /does not end with a file name.*-O FILE/],
  [['http://host/a%2Fb'], /does not end with a file name/],
  [['http://host/a', '-O', 'folder'], /path\[.*folder\] is directory but requires file path/],
  [['http://host/a', '-O', 'new/'], /is directory but requires file path/],
  [['http://host/a', '-O', 'file/below'], /cannot write .*file is not a directory/],
  [['http://host/a', '--timeout', 'soon'], /--timeout "soon" is not a duration/],
  [['http://host/a', '--limit', 'fast'], /--limit "fast" is not a size/],
  [['http://host/a', '--limit', '99999999999999999999'], /--limit "9+" is too much; at most 9007199254740991 bytes/],
  [['http://host/a', '--timeout', '9e3'], /not a duration/],
  [['http://host/a', '--timeout', '9999999999999999d'], /--timeout .* is too much/],
  [['http://host/a', '--limit', ''], /--limit "" is not a size/],
  [['http://host/a', '--range', ''], /--range "" is not a range/],
  [['http://host/a', '--range', '', '-H', 'Range: bytes=0-1'], /--range "" is not a range/],
  [['http://host/a', '-H', 'Host: a', '-H', 'host: b'], /header host was given twice/],
  [['http://host/a', '-H', 'Authorization: a', '-H', 'authorization: b'], /header authorization was given twice/],
  [['http://host/a', '-H', 'Range: bytes=0-1', '-H', 'Range: bytes=5-6'], /header range was given twice/],
  [['http://host/a', '--digest', 'sha3:00'], /digest "sha3:00" is not valid.*md5, sha1, sha256, sha512, crc32/],
  [['http://host/a', '--digest', 'deadbeef'], /digest "deadbeef" is not valid/],
  [['http://host/a', '--range', '9-0'], /its end lies before its start/],
  [['http://host/a', '--range', '0-1,5-6'], /range "0-1,5-6" cannot be served/],
  [['http://host/a', '--original-offset'], /add --range/],
  [['http://host/a', '--original-offset', '--range', '0-1', '-O', '-'], /name one with -O/],
  [['http://host/a', '-p', 'fast'], /--pattern "fast" is none of p2p, cdn, source/],
  [['http://host/a', '-p', 'source', '--disable-back-source'], /nobody to ask/],
  [['http://host/a', '-O', '-', '--json'], /--json.*-O -/],
  [['http://host/a', '-H', 'nocolon'], /no colon/],
  [['http://host/a', '-H', ': value'], /is not a header name/],
  [['http://host/a', '-H', 'A:  '], /a has no value|A has no value/],
  [['http://host/a', '-H', 'A: b\r\nC: d'], /line break/],
  [['http://host/a', '-H', `A: ${'x'.repeat(70_000)}`], /exceed 65536 bytes/],
  [['http://host/a', '--schedulers', 'x:1'], /unknown option '--schedulers'/],
  [['http://host/a', 'http://host/b'], /too many arguments/],
])('%j is refused with the reason', (words, why) => {
  expect(() => order(...words)).toThrow(why)
})

test('a credential in a bad header is not repeated', () => {
  expect(() => order(URL_A, '-H', 'Authorization Bearer s3cr3t')).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining('s3cr3t') }),
  )
})

test.each([
  'http://us:s3cr3t@host/?token=s3cr3t',
  'us:s3cr3t@host/a',
  'http://us:s3cr3t@ho st/a?token=s3cr3t',
  'http:///us:s3cr3t@/?s3cr3t',
  'host/a?token=s3cr3t',
])('a credential in the bad URL %s is not repeated', (url) => {
  expect(() => order(url)).toThrow(
    expect.objectContaining({ code: 'usage.invalid', message: expect.not.stringContaining('s3cr3t') }),
  )
})
