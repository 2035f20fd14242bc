import { type Digest, Failure, formatDigest } from '#core'
import type { StoredTask } from '#storage'
import { heldRuns } from './follow.ts'
import type { Hasher, Hashers } from './hashers.ts'

/**
 * Digests the asked bytes while they come, not by a second pass behind them, and fails with `digest.mismatch` when they
 * are others than promised. Resolves once every byte was seen.
 */
export async function checkDigest(
  task: StoredTask,
  expected: Digest,
  range: { start: number; end: number | undefined },
  hashers: Hashers,
  signal: AbortSignal,
): Promise<void> {
  const found = await digestOf(task, expected, range, hashers, signal)
  if (found === expected.hex) return
  throw new Failure(
    'digest.mismatch',
    `digest is not matched: real[${formatDigest({ ...expected, hex: found })}] expected[${formatDigest(expected)}]`,
  )
}

async function digestOf(
  task: StoredTask,
  { algorithm }: Digest,
  range: { start: number; end: number | undefined },
  hashers: Hashers,
  signal: AbortSignal,
): Promise<string> {
  let hasher: Hasher | undefined
  try {
    for await (const { offset, length } of heldRuns(task, range, signal)) {
      // Only now: with the first piece it is known whether there are few bytes.
      hasher ??= hashers.start(algorithm, bytesOf(task, range))
      await digestRun(task, offset, length, hasher, signal)
    }
    hasher ??= hashers.start(algorithm, 0)
    return await hasher.hex()
  } finally {
    hasher?.[Symbol.dispose]()
  }
}

/** Digests held bytes of a task. */
export async function digestRun(
  task: StoredTask,
  offset: number,
  length: number,
  hasher: Hasher,
  signal?: AbortSignal,
): Promise<void> {
  for (let taken = 0; taken < length; ) {
    signal?.throwIfAborted()
    const at = offset + taken
    taken += await hasher.take(length - taken, (target) => task.read(at, target))
  }
}

function bytesOf(task: StoredTask, { start, end }: { start: number; end: number | undefined }): number | undefined {
  const behind = Math.min(
    end === undefined ? Number.POSITIVE_INFINITY : end + 1,
    task.contentLength ?? Number.POSITIVE_INFINITY,
  )
  return Number.isFinite(behind) ? Math.max(behind - start, 0) : undefined
}
