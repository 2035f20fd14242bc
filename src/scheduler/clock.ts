import { setTimeout as sleep } from 'node:timers/promises'

/** Time as the scheduler sees it; tests and the simulation bring their own. */
export interface Clock {
  /** Milliseconds since 1970; never goes back. */
  now(): number
  /** Rejects when aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal, ref: false }),
}
