/**
 * What goes over the socket between a host and a plugin's process. One connection is one call: the host writes a single
 * question (a frame of kind `json`), the process answers, and whoever hangs up first ends the call.
 *
 * A frame is its kind (1 byte), the length of its payload (4 bytes, big endian) and the payload. A call without a body
 * is answered by one `json`. A download: `json`, any number of `bytes`, `end`. A listing: any number of `json`, `end`.
 * In all of them an `error` may take the place of what was due. Only an `end` has nothing in it.
 */
export const FRAME = { json: 1, bytes: 2, end: 3, error: 4 } as const

export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

export const FRAME_HEADER_BYTES = 5
/** A message is a request with its headers, an answer without its body, or one entry of a listing. */
export const LARGEST_MESSAGE_BYTES = 4 * 2 ** 20

export interface FrameHeader {
  readonly kind: FrameKind
  readonly length: number
}

export function encodeHeader(kind: FrameKind, length: number): Buffer {
  const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
  header.writeUInt8(kind)
  header.writeUInt32BE(length, 1)
  return header
}

/** A whole frame with a JSON payload. Throws when the value is no plain data, or too large. */
export function encodeMessage(kind: FrameKind, value: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(value) ?? 'null')
  if (payload.length > LARGEST_MESSAGE_BYTES)
    throw new Error(`a message of ${payload.length} bytes is too large, expected at most ${LARGEST_MESSAGE_BYTES}`)
  return Buffer.concat([encodeHeader(kind, payload.length), payload])
}

/** Undefined for what no frame begins with: the other side does not keep the protocol. */
export function decodeHeader(bytes: Uint8Array): FrameHeader | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES)
  const [kind, length] = [view.readUInt8(), view.readUInt32BE(1)]
  if (kind === FRAME.end) return length === 0 ? { kind, length } : undefined
  if (length === 0) return undefined
  if (kind === FRAME.bytes) return { kind, length }
  if (kind !== FRAME.json && kind !== FRAME.error) return undefined
  return length <= LARGEST_MESSAGE_BYTES ? { kind, length } : undefined
}

/** Undefined for what is no JSON. */
export function decodeMessage(payload: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString())
    return value
  } catch {
    return undefined
  }
}
