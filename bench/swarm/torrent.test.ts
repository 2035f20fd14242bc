import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { bytesOf, tempDir, writeContent } from '#devnet'
import { writeTorrent } from './torrent.ts'

test.each([1, 65_536, 200_000, 3 * 65_536])('a torrent of %i bytes has the digest of each piece', async (size) => {
  await using dir = await tempDir('torrent')
  const content = bytesOf({ size, seed: 1 })
  await writeContent(dir.join('f'), content)
  const options = { file: dir.join('f'), pieceBytes: 65_536, announce: 'http://a/b', torrent: dir.join('t') }
  await writeTorrent(options)
  const digests = Array.from({ length: Math.ceil(size / 65_536) }, (_, piece) =>
    createHash('sha1')
      .update(content.subarray(piece * 65_536, (piece + 1) * 65_536))
      .digest('latin1' as 'hex'),
  ).join('')
  const info = `d6:lengthi${size}e4:name1:f12:piece lengthi65536e6:pieces${digests.length}:${digests}e`
  expect((await readFile(dir.join('t'))).toString('latin1')).toBe(`d8:announce10:http://a/b4:info${info}e`)
})
