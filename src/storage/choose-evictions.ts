export interface Evictable {
  readonly taskId: string
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly lastUsedMs: number
  readonly inUse: boolean
}

export interface EvictionLimits {
  readonly capacityBytes: number
  /** 0: no task is too old. */
  readonly idleMs: number
  readonly now: number
}

/** Which tasks to remove: those idle for too long, then the longest unused until the rest fits. Pure. */
export function chooseEvictions(tasks: readonly Evictable[], limits: EvictionLimits): string[] {
  const { capacityBytes, idleMs, now } = limits
  let bytes = tasks.reduce((sum, task) => sum + task.bytes, 0)
  const chosen: string[] = []
  const idle = tasks.filter((task) => !task.inUse).sort((a, b) => a.lastUsedMs - b.lastUsedMs)
  for (const task of idle) {
    const tooOld = idleMs > 0 && now - task.lastUsedMs > idleMs
    if (!tooOld && bytes <= capacityBytes) break
    chosen.push(task.taskId)
    bytes -= task.bytes
  }
  return chosen
}
