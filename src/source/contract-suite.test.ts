import { symlink, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { test } from 'vitest'
import { resolveSettings } from '#core'
import { bytesOf, startNginx, tempDir } from '#devnet'
import { fileClient } from './drivers/file.ts'
import { httpClient } from './drivers/http.ts'
import { sourceSettings } from './settings.ts'
import { type SourceFixture, testSource } from './testing.ts'

// What every source must do, run on the built-in ones. The plugin helper runs the same suite on the sample plugin.

const SMALL = Buffer.from('hello world')
const LARGE = bytesOf({ size: 33 * 2 ** 20, seed: 7 })
const settings = resolveSettings(sourceSettings, [])

async function onNginx(content: Uint8Array, manner: 'plain' | 'no-range' | 'chunked'): Promise<SourceFixture> {
  const nginx = await startNginx({ files: { 'a/file.bin': content } })
  const url = manner === 'plain' ? nginx.url('a/file.bin') : nginx.url('a/file.bin', manner)
  return {
    client: httpClient(settings),
    url,
    content,
    missingUrl: nginx.url('a/missing.bin'),
    ranges: manner === 'plain',
    change: () => nginx.put('a/file.bin', Buffer.from('another content')),
    close: () => nginx[Symbol.asyncDispose](),
  }
}

async function onDisk(content: Uint8Array): Promise<SourceFixture> {
  const dir = await tempDir('file-source')
  const path = dir.join('file.bin')
  await writeFile(path, content)
  await symlink(path, dir.join('link.bin'))
  return {
    client: fileClient({ roots: [] }),
    url: pathToFileURL(path).href,
    content,
    missingUrl: pathToFileURL(dir.join('missing.bin')).href,
    ranges: true,
    change: () => writeFile(path, 'another content'),
    listing: { url: pathToFileURL(dir.path).href, names: ['file.bin'] },
    close: () => dir[Symbol.asyncDispose](),
  }
}

testSource('http', () => onNginx(SMALL, 'plain'), { test })
testSource('http with a large file', () => onNginx(LARGE, 'plain'), { test })
testSource('http without ranges', () => onNginx(SMALL, 'no-range'), { test })
testSource('http without a length', () => onNginx(LARGE, 'chunked'), { test })
testSource('http of an empty file', () => onNginx(new Uint8Array(), 'no-range'), { test })
testSource('file', () => onDisk(SMALL), { test })
testSource('file of 33 MiB', () => onDisk(LARGE), { test })
testSource('file of 0 bytes', () => onDisk(new Uint8Array()), { test })
