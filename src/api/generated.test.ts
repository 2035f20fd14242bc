import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AnnouncePeerRequest, Download, DownloadTaskRequest, Peer } from './messages.ts'

async function contentsOf(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const contents = files.map(async (file) => [file.slice(directory.length), await readFile(file, 'utf8')] as const)
  return new Map(await Promise.all(contents))
}

test('the generated messages are those of the protocol files', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'proto-'))
  try {
    await promisify(execFile)('node_modules/.bin/buf', ['generate', '-o', directory])
    const [here, made] = await Promise.all([contentsOf('src/api/gen'), contentsOf(join(directory, 'src/api/gen'))])
    expect(made.size).toBeGreaterThan(5)
    expect(here, 'run `npm run proto`').toEqual(made)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a Download is handed on with the fields that only newer peers know', () => {
  // Field 34, a message; field 90000, a number: nothing here knows them.
  const unknown = Buffer.from([0x92, 0x02, 0x03, 0x0a, 0x01, 0x78, 0x80, 0xf9, 0x2b, 0x07])
  const known = Download.encode(Download.fromPartial({ url: 'http://a/b', disableBackToSource: true })).finish()
  const came = Download.decode(Buffer.concat([known, unknown]))
  const woken = DownloadTaskRequest.fromPartial({
    download: { ...came, needBackToSource: true, outputPath: undefined },
  })
  const sent = Buffer.from(DownloadTaskRequest.encode(woken).finish())
  expect(sent.includes(unknown.subarray(0, 6))).toBe(true)
  expect(sent.includes(unknown.subarray(6))).toBe(true)
  expect(DownloadTaskRequest.decode(sent).download).toMatchObject({ url: 'http://a/b', needBackToSource: true })
})

test('numbers that are no safe integers are refused, not rounded', () => {
  const tooLarge = Buffer.from([0xe0, 0x01, ...Array.from({ length: 9 }, () => 0xff), 0x01])
  expect(() => Download.decode(tooLarge)).toThrow(/MAX_SAFE_INTEGER/)
})

test('bytes that are no message make an error, never a crash or a hang', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(AnnouncePeerRequest, Peer, Download),
      (bytes, codec) => {
        try {
          codec.decode(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      },
    ),
    { numRuns: 3000 },
  )
})
