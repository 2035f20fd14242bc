import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'

export interface TorrentOptions {
  /** The file that is shared. */
  readonly file: string
  readonly pieceBytes: number
  /** URL of the tracker. */
  readonly announce: string
  /** Where the .torrent is written. */
  readonly torrent: string
}

/** Writes a BitTorrent metainfo file (version 1) for one file. */
export async function writeTorrent({ file, pieceBytes, announce, torrent }: TorrentOptions): Promise<void> {
  const { size } = await stat(file)
  const info = dictionary({
    length: `i${size}e`,
    name: bytes(basename(file)),
    'piece length': `i${pieceBytes}e`,
    pieces: bytes(await pieceDigests(file, pieceBytes)),
  })
  await writeFile(torrent, dictionary({ announce: bytes(announce), info }), 'latin1')
}

async function pieceDigests(file: string, pieceBytes: number): Promise<string> {
  let digests = ''
  // Reads end where they like; a piece is what so many bytes make.
  let hash = createHash('sha1')
  let left = pieceBytes
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + left)
      hash.update(part)
      at += part.length
      left -= part.length
      if (left > 0) continue
      digests += hash.digest().toString('latin1')
      hash = createHash('sha1')
      left = pieceBytes
    }
  }
  return left < pieceBytes ? digests + hash.digest().toString('latin1') : digests
}

/** Keys have to stand in order; all text is one byte a character. */
function dictionary(entries: Readonly<Record<string, string>>): string {
  const keys = Object.keys(entries).toSorted()
  return `d${keys.map((key) => `${bytes(key)}${entries[key]}`).join('')}e`
}

function bytes(text: string): string {
  return `${text.length}:${text}`
}
