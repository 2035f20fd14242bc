import type { Http2Stream } from 'node:http2'
import { STATUS, StatusError } from './status.ts'

const PREFIX_LENGTH = 5
/** Up to here it is cheaper to copy a message behind its prefix than to write two chunks. */
const SMALL = 16 * 1024

/** Writes one message behind its prefix (a flag and four bytes of length). False: wait for 'drain'. */
export function writeMessage(stream: Http2Stream, body: Uint8Array): boolean {
  if (body.length <= SMALL) return stream.write(framed(body))
  stream.cork()
  stream.write(prefixOf(body.length))
  const more = stream.write(body)
  stream.uncork()
  return more
}

/** A message behind its prefix, in one buffer. */
export function framed(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(PREFIX_LENGTH + body.length)
  frame.set(prefixOf(body.length))
  frame.set(body, PREFIX_LENGTH)
  return frame
}

function prefixOf(length: number): Uint8Array {
  const prefix = new Uint8Array(PREFIX_LENGTH)
  new DataView(prefix.buffer).setUint32(1, length)
  return prefix
}

/** A small message as bytes of its own, so that a field that is kept does not keep a whole network buffer with it. */
export function ownCopy(body: Uint8Array): Uint8Array {
  return body.length <= SMALL ? new Uint8Array(body) : body
}

/** Cuts the bytes of a stream back into messages. */
export class FrameReader {
  readonly #maxBytes: number
  #chunks: Uint8Array[] = []
  #buffered = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** True between messages: a stream that ends elsewhere was cut off. */
  get idle(): boolean {
    return this.#buffered === 0
  }

  /** The messages that `chunk` completes. Throws a StatusError for a message too large or compressed. */
  push(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = []
    this.each(chunk, (body) => void messages.push(ownCopy(body)))
    return messages
  }

  /** The same without a copy: gives `take` views of the network's own buffer, to be left alone once it has returned. */
  each(chunk: Uint8Array, take: (body: Uint8Array) => void): void {
    let at = 0
    while (this.#buffered === 0 && chunk.length - at >= PREFIX_LENGTH) {
      const end = at + PREFIX_LENGTH + this.#bodyLength(chunk, at)
      if (end > chunk.length) break
      take(chunk.subarray(at + PREFIX_LENGTH, end))
      at = end
    }
    if (at === chunk.length) return
    this.#chunks.push(at === 0 ? chunk : chunk.subarray(at))
    this.#buffered += chunk.length - at
    for (let body = this.#take(); body !== undefined; body = this.#take()) take(body)
  }

  #take(): Uint8Array | undefined {
    if (this.#buffered < PREFIX_LENGTH) return undefined
    const first = this.#chunks[0]
    const end = PREFIX_LENGTH + this.#bodyLength(first && first.length >= PREFIX_LENGTH ? first : this.#joined(), 0)
    if (this.#buffered < end) return undefined
    const all = this.#joined()
    this.#chunks = all.length === end ? [] : [all.subarray(end)]
    this.#buffered -= end
    return all.subarray(PREFIX_LENGTH, end)
  }

  /** Told by the prefix that begins there. */
  #bodyLength(bytes: Uint8Array, at: number): number {
    if (bytes[at] === 1) throw new StatusError(STATUS.UNIMPLEMENTED, 'compressed messages are not understood here')
    if (bytes[at] !== 0) throw new StatusError(STATUS.INTERNAL, 'this is no gRPC message')
    const [high = 0, b = 0, c = 0, low = 0] = [bytes[at + 1], bytes[at + 2], bytes[at + 3], bytes[at + 4]]
    const length = high * 2 ** 24 + ((b << 16) | (c << 8) | low)
    if (length <= this.#maxBytes) return length
    throw new StatusError(STATUS.RESOURCE_EXHAUSTED, `a message of ${length} bytes is over ${this.#maxBytes}`)
  }

  #joined(): Uint8Array {
    const [first, ...rest] = this.#chunks
    if (first !== undefined && rest.length === 0) return first
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }
}
