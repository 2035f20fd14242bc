import { readFile } from 'node:fs/promises'
import { formatBytes } from '#core'
import { ping } from './call.ts'
import type { RunningProcess } from './plugin-process.ts'

export interface Limits {
  readonly memoryBytes: number
  readonly hangTimeoutMs: number
}

/** Often enough that a leak of gigabytes a second is caught while the machine has memory left. */
const MEMORY_EVERY_MS = 200

/**
 * Ends a process that takes too much memory, or does not react while it is asked something. `busy` says whether it is.
 * Watches until the process ends, or the function it returns is called.
 */
export function watchProcess(plugin: RunningProcess, limits: Limits, busy: () => boolean): () => void {
  let looking = false
  const memory = setInterval(() => {
    if (looking) return
    looking = true
    void checkMemory(plugin, limits.memoryBytes).then(() => (looking = false))
  }, MEMORY_EVERY_MS)
  const everyMs = Math.max(50, Math.floor(limits.hangTimeoutMs / 4))
  let asking = false
  const hang = setInterval(() => {
    if (asking || !busy()) return
    asking = true
    void ping(plugin, limits.hangTimeoutMs).then((reacts) => {
      asking = false
      const seconds = limits.hangTimeoutMs / 1000
      if (!reacts) plugin.kill({ code: 'plugin.hung', what: `it did not react for ${seconds} s and was ended` })
    })
  }, everyMs)
  for (const timer of [memory, hang]) timer.unref()
  const stop = (): void => {
    clearInterval(memory)
    clearInterval(hang)
  }
  void plugin.ended.then(stop)
  return stop
}

async function checkMemory(plugin: RunningProcess, limitBytes: number): Promise<void> {
  const bytes = await residentBytes(plugin.pid)
  if (bytes === undefined || bytes <= limitBytes) return
  const what = `it took ${formatBytes(bytes)} of memory, more than the ${formatBytes(limitBytes)} it may, and was ended`
  plugin.kill({ code: 'plugin.crashed', what })
}

/** Undefined where the system does not tell, which only Linux does without a program to ask. */
export async function residentBytes(pid: number): Promise<number | undefined> {
  try {
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))
    return match?.[1] === undefined ? undefined : Number(match[1]) * 1024
  } catch {
    return undefined
  }
}
