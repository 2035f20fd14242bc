import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { Clock, Timer } from './clock.ts'

/** `node:timers/promises` as CommonJS sees it, whose functions can be replaced. */
interface TimersPromises {
  setTimeout: (ms?: number, value?: unknown, options?: { signal?: AbortSignal }) => Promise<unknown>
}

/**
 * Puts the real modules on the virtual clock, and on the seed, until disposed of: those of src/ that are driven here take some of their
 * time from Node's own timers (the planner's deadline, the bell of a crowded task), not from a clock they are given.
 */
export function borrowTime(clock: Clock, random: () => number): Disposable {
  const timersPromises = createRequire(import.meta.url)('node:timers/promises') as TimersPromises
  const real = { setTimeout, clearTimeout, sleep: timersPromises.setTimeout }
  const set = (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]): object => {
    const timer = clock.timer(ms, () => run(...args))
    return new VirtualTimeout(timer)
  }
  const clear = (timeout: unknown): void => {
    if (timeout instanceof VirtualTimeout) timeout.timer.cancel()
    else real.clearTimeout(timeout as NodeJS.Timeout)
  }
  const sleep: TimersPromises['setTimeout'] = (ms = 0, value, options) =>
    clock.sleep(ms, options?.signal).then(() => value)
  replace(set as typeof setTimeout, clear, sleep)
  const { random: realRandom } = Math
  Math.random = random
  performance.now = () => clock.now()
  return {
    [Symbol.dispose]() {
      replace(real.setTimeout, real.clearTimeout, real.sleep)
      Math.random = realRandom
      // What was there before is the prototype's own.
      Reflect.deleteProperty(performance, 'now')
    },
  }

  function replace(
    setTimer: typeof setTimeout,
    clearTimer: (timeout: NodeJS.Timeout | string | number | undefined) => void,
    sleepFor: TimersPromises['setTimeout'],
  ): void {
    globalThis.setTimeout = setTimer
    globalThis.clearTimeout = clearTimer
    timersPromises.setTimeout = sleepFor
    syncBuiltinESMExports()
  }
}

class VirtualTimeout {
  readonly timer: Timer

  constructor(timer: Timer) {
    this.timer = timer
  }

  unref(): this {
    return this
  }

  ref(): this {
    return this
  }
}
