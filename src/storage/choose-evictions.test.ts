import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chooseEvictions, type Evictable } from './choose-evictions.ts'

const task = fc.record({
  bytes: fc.nat(100),
  lastUsedMs: fc.nat(100),
  inUse: fc.boolean(),
})
const tasks = fc.array(task).map((list) => list.map((each, index): Evictable => ({ ...each, taskId: String(index) })))

test('what stays fits or is in use, nothing younger goes before something older, and no more goes than has to', () => {
  fc.assert(
    fc.property(tasks, fc.nat(500), fc.nat(80), (list, capacityBytes, idleMs) => {
      const chosen = new Set(chooseEvictions(list, { capacityBytes, idleMs, now: 100 }))
      const gone = list.filter((each) => chosen.has(each.taskId))
      const stays = list.filter((each) => !chosen.has(each.taskId))
      const idle = stays.filter((each) => !each.inUse)
      const bytes = stays.reduce((sum, each) => sum + each.bytes, 0)
      const tooOld = (each: Evictable): boolean => idleMs > 0 && 100 - each.lastUsedMs > idleMs
      expect(gone.some((each) => each.inUse)).toBe(false)
      expect(idle.some(tooOld)).toBe(false)
      if (idle.length > 0) expect(bytes).toBeLessThanOrEqual(capacityBytes)
      const youngest = Math.max(...gone.map((each) => each.lastUsedMs))
      for (const each of idle) expect(each.lastUsedMs).toBeGreaterThanOrEqual(youngest)
      const last = gone.toSorted((a, b) => a.lastUsedMs - b.lastUsedMs).at(-1)
      if (last !== undefined && !tooOld(last)) expect(bytes + last.bytes).toBeGreaterThan(capacityBytes)
    }),
  )
})
