import { createHash } from 'node:crypto'
import { crc32 } from '@node-rs/crc32'
import { type Digest, Failure, formatDigest } from '#core'
import type { StoredTask } from '#storage'
import { follow } from './follow.ts'

/**
 * Digests the asked bytes while they come, not by a second read behind them, and fails with `digest.mismatch` when they
 * are others than promised. Resolves once every byte was seen.
 */
export async function checkDigest(
  task: StoredTask,
  expected: Digest,
  range: { start: number; end: number | undefined },
  signal: AbortSignal,
): Promise<void> {
  const hasher = startDigest(expected)
  for await (const { bytes } of follow(task, range, signal)) hasher.update(bytes)
  const found = hasher.hex()
  if (found === expected.hex) return
  throw new Failure(
    'digest.mismatch',
    `digest is not matched: real[${formatDigest({ ...expected, hex: found })}] expected[${formatDigest(expected)}]`,
  )
}

export interface Hasher {
  update(bytes: Uint8Array): void
  /** Lower case; ends it. */
  hex(): string
}

export function startDigest({ algorithm }: Digest): Hasher {
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
