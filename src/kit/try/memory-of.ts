import { readFileSync } from 'node:fs'

/** Resident bytes of a process; undefined when it is gone, or where there is no /proc. */
export function memoryOf(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return kib === undefined ? undefined : Number(kib) * 1024
  } catch {
    return undefined
  }
}
