import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'

/** Bytes that follow from a seed alone: as good as random to every digest and compressor, the same on every run. */
export interface Pattern {
  readonly size: number
  readonly seed: number | string
}

/** What a file of a test holds. */
export type Content = Uint8Array | Pattern

const CHUNK_BYTES = 1 << 20
const ZEROS = Buffer.alloc(CHUNK_BYTES)
const CIPHER_BLOCK_BYTES = 16

/** Length of a content in bytes. */
export function sizeOf(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.size
}

/** The bytes from `start` up to `end` (not included), in chunks of at most 1 MiB. A pattern needs no memory for it. */
export function* chunksOf(content: Content, start = 0, end = sizeOf(content)): Generator<Uint8Array> {
  if (content instanceof Uint8Array) {
    for (let at = start; at < end; at += CHUNK_BYTES) yield content.subarray(at, Math.min(at + CHUNK_BYTES, end))
    return
  }
  // AES in counter mode can start anywhere: the counter is the number of the 16-byte block.
  const counter = Buffer.alloc(CIPHER_BLOCK_BYTES)
  counter.writeBigUInt64BE(BigInt(Math.floor(start / CIPHER_BLOCK_BYTES)), 8)
  const key = createHash('sha256').update(String(content.seed)).digest()
  const cipher = createCipheriv('aes-256-ctr', key, counter)
  cipher.update(ZEROS.subarray(0, start % CIPHER_BLOCK_BYTES))
  for (let at = start; at < end; at += CHUNK_BYTES) {
    yield cipher.update(ZEROS.subarray(0, Math.min(CHUNK_BYTES, end - at)))
  }
}

/** All bytes in memory: for small contents. */
export function bytesOf(content: Content): Uint8Array {
  return content instanceof Uint8Array ? content : Buffer.concat([...chunksOf(content)])
}

/** SHA-256 in lower-case hex, of a part where `start` and `end` (not included) are given. */
export function sha256Of(content: Content, start?: number, end?: number): string {
  const hash = createHash('sha256')
  for (const chunk of chunksOf(content, start, end)) hash.update(chunk)
  return hash.digest('hex')
}

export async function sha256File(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) hash.update(chunk)
  return hash.digest('hex')
}

export async function writeContent(path: string, content: Content): Promise<void> {
  if (content instanceof Uint8Array) return writeFile(path, content)
  const file = await open(path, 'w')
  try {
    for (const chunk of chunksOf(content)) await file.write(chunk)
  } finally {
    await file.close()
  }
}

/** A file of `size` bytes that look random and follow from `seed`. */
export async function randomBytesFile(path: string, size: number, seed: number | string = 1): Promise<void> {
  await writeContent(path, { size, seed })
}
