import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, type FailureCode } from '#core'
import { abortFailure } from './abort.ts'
import { ReadProgress } from './read-progress.ts'
import { isLasting, retryAfterMs } from './source-failure.ts'
import type { ReadOptions, ReadRequest, ReadResult, Source } from './source.ts'

export interface RetryPolicy {
  /** Tries of a read in a row without a single new byte. */
  readonly attempts: number
  /**
   * Tries of a question, and of a read whose origin answers, but wrongly from the start, or whose plugin does not live
   * to answer. Nobody likes to wait here.
   */
  readonly probeAttempts: number
  /** The first pause; each further one is twice as long, up to `maxDelayMs`, give or take a fifth. */
  readonly firstDelayMs: number
  readonly maxDelayMs: number
}

/** An origin that asks for more time than this is asked earlier all the same. */
const LONGEST_RETRY_AFTER_MS = 30_000

/**
 * The same source, but what may go well another time is tried again, with growing pauses: questions as a whole, reads
 * from where they broke. New bytes start the count anew.
 */
export function withRetry(inner: Source, policy: RetryPolicy): Source {
  return {
    ...inner,
    async describe(request, signal) {
      for (let failures = 1; ; failures++) {
        try {
          return await inner.describe(request, signal)
        } catch (error) {
          if (failures >= policy.probeAttempts || !isTransient(error)) throw error
          await pause(failures, error, policy, signal)
        }
      }
    },
    read: (request, sink, options) => readOn(inner, new ReadProgress(request, sink, options), request, options, policy),
  }
}

async function readOn(
  inner: Source,
  progress: ReadProgress,
  request: ReadRequest,
  options: ReadOptions,
  policy: RetryPolicy,
): Promise<ReadResult> {
  let failures = 0
  let nonsense = 0
  for (;;) {
    const before = progress.given
    const { sink, options: asked } = progress.next()
    try {
      const { expireInfo } = await inner.read(request, sink, asked)
      progress.checkEnd()
      return { bytes: progress.given, expireInfo: { ...expireInfo, ...progress.first?.expireInfo } }
    } catch (error) {
      if (progress.given > before) failures = nonsense = 0
      failures++
      if (error instanceof Failure && NONSENSE.has(error.code)) nonsense++
      if (options.signal.aborted) throw error
      if (progress.given > 0) progress.rejectLateRefusal(error)
      const hopeless = options.impatient === true && progress.first === undefined
      const spent = hopeless || failures >= policy.attempts || nonsense >= policy.probeAttempts
      if (spent || progress.complete || !isTransient(error)) throw error
      await pause(failures, error, policy, options.signal)
    }
  }
}

const TRANSIENT: ReadonlySet<string> = new Set<FailureCode>([
  'source.unreachable',
  'source.broken',
  'plugin.crashed',
  'plugin.hung',
])

/** What rarely goes well another time: nobody should wait for all the tries. */
const NONSENSE: ReadonlySet<string> = new Set<FailureCode>(['source.broken', 'plugin.crashed', 'plugin.hung'])

/** Only what the source did: a sink that fails would fail again. Another version is for the caller to begin with anew. */
function isTransient(error: unknown): error is Failure {
  if (!(error instanceof Failure) || isLasting(error)) return false
  return TRANSIENT.has(error.code)
}

async function pause(failures: number, error: Failure, policy: RetryPolicy, signal: AbortSignal): Promise<void> {
  const growing = Math.min(policy.firstDelayMs * 2 ** (failures - 1), policy.maxDelayMs)
  const asked = Math.min(retryAfterMs(error) ?? 0, LONGEST_RETRY_AFTER_MS)
  const jitter = 0.8 + 0.4 * Math.random()
  await sleep(Math.max(growing * jitter, asked), undefined, { signal }).catch(() => {
    throw abortFailure(signal)
  })
}
