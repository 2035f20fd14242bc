import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { Failure, formatBytes, messageOf } from '#core'

/** A regular file of an archive. Its path is as the archive has it: good for looking at, never for writing to. */
export interface ArchivedFile {
  readonly path: string
  readonly content: Buffer
}

export interface TarballLimits {
  /** Bytes of the archive when it is unpacked, wanted or not. */
  readonly unpackedBytes: number
  /** Bytes of what is wanted. */
  readonly wantedBytes: number
}

const BLOCK_BYTES = 512
const LARGEST_PAX_BYTES = 64 * 1024
const LIMITS: TarballLimits = { unpackedBytes: 512 * 2 ** 20, wantedBytes: 64 * 2 ** 20 }

/**
 * The wanted regular files of a `.tgz`, held in memory. It is read here, and not unpacked by a program: no path, link or
 * device of a stranger's archive then ever reaches the disk, and an archive that unpacks to no end is let go of in time.
 * Fails with `plugin.broken`.
 */
export async function readTarball(
  file: string,
  wanted: (path: string) => boolean,
  limits: TarballLimits = LIMITS,
): Promise<ArchivedFile[]> {
  try {
    return await pipeline(createReadStream(file), createGunzip(), (bytes: AsyncIterable<Buffer>) =>
      readEntries(new Blocks(bytes, limits.unpackedBytes), wanted, limits.wantedBytes),
    )
  } catch (error) {
    throw error instanceof Failure ? error : bad(messageOf(error))
  }
}

async function readEntries(
  blocks: Blocks,
  wanted: (path: string) => boolean,
  wantedBytes: number,
): Promise<ArchivedFile[]> {
  const files: ArchivedFile[] = []
  let leftBytes = wantedBytes
  /** What an entry says of the one behind it. */
  let ahead: Ahead = {}
  for (;;) {
    const block = await blocks.take(BLOCK_BYTES)
    if (block === undefined || block.every((byte) => byte === 0)) return files
    const header = parseHeader(block)
    if (header.type === 'x' || header.type === 'L') {
      if (header.size > LARGEST_PAX_BYTES) throw bad('a name in it is too long')
      const text = await blocks.content(header.size)
      ahead = header.type === 'x' ? { ...ahead, ...paxOf(text) } : { ...ahead, path: textOf(text) }
      continue
    }
    const { path = header.path, size = header.size } = ahead
    ahead = header.type === 'g' ? ahead : {}
    if (header.type !== '0' || !wanted(path)) {
      await blocks.skip(size)
      continue
    }
    leftBytes -= size
    if (leftBytes < 0) throw bad(`its plugins are larger than ${formatBytes(wantedBytes)}`)
    files.push({ path, content: await blocks.content(size) })
  }
}

interface Ahead {
  readonly path?: string
  readonly size?: number
}

interface Header {
  readonly path: string
  readonly size: number
  /** '0' for a regular file; further letters as in POSIX. */
  readonly type: string
}

function parseHeader(block: Buffer): Header {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0)
  if (Number.parseInt(textOf(block.subarray(148, 156)).trim(), 8) !== sum) throw bad('it is no tar archive')
  const letter = String.fromCharCode(block[156] ?? 0)
  const ustar = block.toString('latin1', 257, 262) === 'ustar'
  const prefix = ustar ? textOf(block.subarray(345, 500)) : ''
  const name = textOf(block.subarray(0, 100))
  const path = prefix === '' ? name : `${prefix}/${name}`
  return { path, size: octal(block.subarray(124, 136)), type: letter === '\0' || letter === '7' ? '0' : letter }
}

/** A number in octal digits; sizes beyond 8 GiB are written in another way, and are beyond us. */
function octal(field: Buffer): number {
  const text = textOf(field).trim()
  if (!/^[0-7]{0,12}$/.test(text)) throw bad('a number in it cannot be read')
  return text === '' ? 0 : Number.parseInt(text, 8)
}

/** `length key=value\n`, again and again; the length counts all of it, in bytes. */
function paxOf(bytes: Buffer): Ahead {
  const found: { path?: string; size?: number } = {}
  for (let at = 0; at < bytes.length; ) {
    const [, digits = ''] = /^(\d{1,6}) /.exec(bytes.toString('latin1', at, at + 7)) ?? []
    const record = bytes.subarray(at + digits.length + 1, at + Number(digits) - 1)
    const equals = record.indexOf('=')
    if (digits === '' || equals < 1 || at + Number(digits) > bytes.length) throw bad('a name in it cannot be read')
    const [key, value] = [record.toString('utf8', 0, equals), record.toString('utf8', equals + 1)]
    if (key === 'path') found.path = value
    if (key === 'size') found.size = sizeOf(value)
    at += Number(digits)
  }
  return found
}

function sizeOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw bad('a number in it cannot be read')
  return Number(text)
}

function textOf(field: Buffer): string {
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end === -1 ? field.length : end)
}

/** Cuts a stream into what is asked for, and counts. */
class Blocks {
  readonly #bytes: AsyncIterator<Buffer>
  readonly #mostBytes: number
  #held: Buffer = Buffer.alloc(0)
  #readBytes = 0

  constructor(bytes: AsyncIterable<Buffer>, mostBytes: number) {
    this.#bytes = bytes[Symbol.asyncIterator]()
    this.#mostBytes = mostBytes
  }

  /** Undefined at the end; what breaks off in the middle is a failure. */
  async take(length: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    let due = length
    while (due > 0) {
      if (this.#held.length === 0 && !(await this.#more())) {
        if (due === length) return undefined
        throw bad('it breaks off in the middle')
      }
      const part = this.#held.subarray(0, due)
      this.#held = this.#held.subarray(part.length)
      due -= part.length
      parts.push(part)
    }
    return Buffer.concat(parts)
  }

  /** The content of an entry, without what fills its last block. */
  async content(size: number): Promise<Buffer> {
    const content = size === 0 ? Buffer.alloc(0) : await this.take(size)
    if (content === undefined) throw bad('it breaks off in the middle')
    await this.skip((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES, false)
    return content
  }

  /** Passes over the content of an entry; `padded`: and what fills its last block. */
  async skip(size: number, padded = true): Promise<void> {
    let due = padded ? Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES : size
    while (due > 0) {
      if (this.#held.length === 0 && !(await this.#more())) throw bad('it breaks off in the middle')
      const length = Math.min(due, this.#held.length)
      this.#held = this.#held.subarray(length)
      due -= length
    }
  }

  async #more(): Promise<boolean> {
    const next = await this.#bytes.next()
    if (next.done === true) return false
    this.#held = next.value
    this.#readBytes += next.value.length
    if (this.#readBytes > this.#mostBytes) throw bad(`it unpacks to more than ${formatBytes(this.#mostBytes)}`)
    return true
  }
}

function bad(reason: string): Failure {
  return new Failure('plugin.broken', `the package cannot be read: ${reason}`)
}
