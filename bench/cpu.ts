import { readFileSync } from 'node:fs'

/** Linux tells user space times in hundredths of a second, whatever its own clock ticks in. */
const MS_PER_TICK = 10

/** Milliseconds of CPU that a living process has used so far, user and system, all threads; 0 for one that is gone. */
export function cpuMsOf(pid: number): number {
  const [user = 0, system = 0] = timesOf(String(pid))
  return user + system
}

/** The same of all children of this process that have ended and were waited for, and of theirs. */
export function cpuMsOfEndedChildren(): number {
  const [, , user = 0, system = 0] = timesOf('self')
  return user + system
}

/** What all processors of the machine did so far, in milliseconds of one processor. */
export interface MachineTime {
  readonly busyMs: number
  readonly allMs: number
}

export function machineTime(): MachineTime {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n')
  const ticks = line.split(/\s+/).slice(1, 9).map(Number)
  const all = ticks.reduce((sum, each) => sum + each, 0)
  const [, , , idle = 0, waiting = 0] = ticks
  return { busyMs: (all - idle - waiting) * MS_PER_TICK, allMs: all * MS_PER_TICK }
}

/** How busy the machine was from one reading to the next, of 1. */
export function busyBetween(from: MachineTime, to: MachineTime): number {
  return (to.busyMs - from.busyMs) / Math.max(to.allMs - from.allMs, 1)
}

/** utime, stime, cutime, cstime in milliseconds. */
function timesOf(pid: string): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name stands in parentheses and may hold anything, spaces too.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields.slice(11, 15).map((ticks) => Number(ticks) * MS_PER_TICK)
  } catch {
    return []
  }
}
