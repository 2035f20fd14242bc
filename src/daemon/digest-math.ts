import { createHash } from 'node:crypto'
import { crc32 } from '@node-rs/crc32'
import type { DigestAlgorithm } from '#core'

/** A digest that is being made, in the thread that calls it. */
export interface RunningDigest {
  update(bytes: Uint8Array): void
  /** Lower case; ends it. */
  hex(): string
}

export function startDigest(algorithm: DigestAlgorithm): RunningDigest {
  if (algorithm !== 'crc32') {
    const hash = createHash(algorithm)
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') }
  }
  let value = 0
  return {
    update: (bytes) => {
      value = crc32(bytes, value)
    },
    hex: () => (value >>> 0).toString(16).padStart(8, '0'),
  }
}
