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
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    const messages: Uint8Array[] = []
    for (let body = this.#take(); body !== undefined; body = this.#take()) messages.push(body)
    return messages
  }

  #take(): Uint8Array | undefined {
    if (this.#buffered < PREFIX_LENGTH) return undefined
    const length = this.#bodyLength()
    if (this.#buffered < PREFIX_LENGTH + length) return undefined
    const all = this.#joined()
    const end = PREFIX_LENGTH + length
    this.#chunks = all.length === end ? [] : [all.subarray(end)]
    this.#buffered -= end
    const body = all.subarray(PREFIX_LENGTH, end)
    // A copy of its own, so that a small field that is kept does not keep a whole network buffer with it.
    return length <= SMALL ? new Uint8Array(body) : body
  }

  #bodyLength(): number {
    const first = this.#chunks[0]
    const prefix = first !== undefined && first.length >= PREFIX_LENGTH ? first : this.#joined()
    if (prefix[0] === 1) throw new StatusError(STATUS.UNIMPLEMENTED, 'compressed messages are not understood here')
    if (prefix[0] !== 0) throw new StatusError(STATUS.INTERNAL, 'this is no gRPC message')
    const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(1)
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
