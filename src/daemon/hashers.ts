import type { DigestAlgorithm } from '#core'
import { startDigest } from './digest-math.ts'
import { DigestThread } from './digest-thread.ts'

/** Reads the next bytes of a content into `target`, from its start, and says how many there are. */
export type ReadInto = (target: Uint8Array) => Promise<number>

/** A digest of a content, made while its bytes come in order. Disposing of it forgets what was digested. */
export interface Hasher extends Disposable {
  /** Has up to `bytes` more bytes read and digests them, maybe later; resolves to how many were read. One call at a time. */
  take(bytes: number, read: ReadInto): Promise<number>
  /** The digest of all that was taken, in lower case. Nothing can be taken after that. */
  hex(): Promise<string>
}

/** Below this another thread is not worth its start: SHA-256 of so much takes 3 ms here. */
const SMALL_BYTES = 4 * 2 ** 20
const CHUNK_BYTES = 2 ** 20

/** Where contents are digested: small ones in this thread, large ones in a thread made for it. */
export class Hashers {
  readonly #thread: DigestThread

  constructor(thread = new DigestThread()) {
    this.#thread = thread
  }

  /** Begins the digest of a content of so many bytes; undefined: not known. */
  start(algorithm: DigestAlgorithm, bytes: number | undefined): Hasher {
    return bytes !== undefined && bytes <= SMALL_BYTES ? hashHere(algorithm) : this.#thread.start(algorithm)
  }
}

function hashHere(algorithm: DigestAlgorithm): Hasher {
  const digest = startDigest(algorithm)
  let buffer = new Uint8Array(0)
  return {
    async take(bytes, read) {
      const length = Math.min(bytes, CHUNK_BYTES)
      if (buffer.length < length) buffer = Buffer.allocUnsafe(length)
      const taken = await read(buffer.subarray(0, length))
      digest.update(buffer.subarray(0, taken))
      return taken
    },
    hex: async () => digest.hex(),
    [Symbol.dispose]: () => undefined,
  }
}
