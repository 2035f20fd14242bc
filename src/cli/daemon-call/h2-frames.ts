/** Frames of HTTP/2 (RFC 9113). */

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const

export const HEAD_BYTES = 9
/** What a peer may send that was not told otherwise. */
export const LARGEST_PAYLOAD_BYTES = 16_384

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array(0)): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes.writeUInt8(type, 3)
  bytes.writeUInt8(flags, 4)
  bytes.writeUInt32BE(stream, 5)
  bytes.set(payload, HEAD_BYTES)
  return bytes
}

export function settings(values: Readonly<Record<number, number>>): Buffer {
  const entries = Object.entries(values).map(([id, value]) => {
    const entry = Buffer.allocUnsafe(6)
    entry.writeUInt16BE(Number(id), 0)
    entry.writeUInt32BE(value, 2)
    return entry
  })
  return frame(FRAME.SETTINGS, 0, 0, Buffer.concat(entries))
}

export function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4)
  payload.writeUInt32BE(bytes, 0)
  return frame(FRAME.WINDOW_UPDATE, 0, stream, payload)
}

/** Cuts what comes back into frames. */
export class FrameCutter {
  #kept = Buffer.alloc(0)

  /** The frames that `chunk` completes, parts of `chunk` among them. Throws for one too large. */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = []
    let bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk])
    while (bytes.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + bytes.readUIntBE(0, 3)
      if (end > HEAD_BYTES + LARGEST_PAYLOAD_BYTES) throw new Error('it sent a frame that is too large')
      if (bytes.length < end) break
      const [type, flags] = [bytes.readUInt8(3), bytes.readUInt8(4)]
      const stream = bytes.readUInt32BE(5) & 0x7fffffff
      frames.push({ type, flags, stream, payload: bytes.subarray(HEAD_BYTES, end) })
      bytes = bytes.subarray(end)
    }
    this.#kept = Buffer.from(bytes)
    return frames
  }
}

/** The payload without its padding and the priority that may stand before a header block. */
export function unpadded({ type, flags, payload }: Frame): Buffer {
  const padded = (flags & FLAG.PADDED) !== 0
  const padding = padded ? (payload[0] ?? 0) : 0
  const start = (padded ? 1 : 0) + (type === FRAME.HEADERS && (flags & FLAG.PRIORITY) !== 0 ? 5 : 0)
  if (start + padding > payload.length) throw new Error('it sent a frame that is all padding')
  return payload.subarray(start, payload.length - padding)
}
