import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { barLine, type Display, openLines, type Progress, ProgressWatcher } from './progress.ts'

const MiB = 2 ** 20

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function screen(): Display & { readonly drawn: Progress[]; closed: boolean } {
  const drawn: Progress[] = []
  return {
    drawn,
    closed: false,
    draw: (progress) => drawn.push({ ...progress, bytes: { ...progress.bytes } }),
    close() {
      this.closed = true
    },
  }
}

test('a download that is over at once draws nothing', () => {
  const display = screen()
  const watcher = new ProgressWatcher({ firstMs: 200, everyMs: 100, display })
  watcher.started(1)
  watcher.arrived(1, 'source')
  watcher[Symbol.dispose]()
  vi.advanceTimersByTime(1000)
  expect(display.drawn).toEqual([])
  expect(display.closed).toBe(false)
})

test('a longer one is drawn again and again, and at its end', () => {
  const display = screen()
  const watcher = new ProgressWatcher({ firstMs: 200, everyMs: 100, display })
  watcher.started(10 * MiB)
  for (let step = 0; step < 10; step++) {
    watcher.arrived(MiB, step % 2 === 0 ? 'source' : 'peers')
    vi.advanceTimersByTime(100)
  }
  watcher[Symbol.dispose]()
  expect(display.drawn.length).toBeGreaterThan(5)
  expect(display.drawn.at(-1)).toMatchObject({ totalBytes: 10 * MiB, bytes: { source: 5 * MiB, peers: 5 * MiB } })
  expect(display.drawn.at(-2)?.rateBytes).toBeGreaterThan(5 * MiB)
  expect(display.closed).toBe(true)
})

test('a second start counts from nothing', () => {
  const display = screen()
  const watcher = new ProgressWatcher({ firstMs: 0, everyMs: 100, display })
  watcher.started(10)
  watcher.arrived(9, 'peers')
  watcher.started(10)
  watcher.arrived(1, 'source')
  vi.advanceTimersByTime(1)
  watcher[Symbol.dispose]()
  expect(display.drawn.at(-1)?.bytes).toEqual({ source: 1, peers: 0, local: 0 })
})

const HALF: Progress = { totalBytes: 10 * MiB, bytes: { source: 2 * MiB, peers: 3 * MiB, local: 0 }, rateBytes: MiB }

test('a bar tells share, rate, time left and who gives, and keeps to the width of the terminal', () => {
  const line = barLine(HALF, 120)
  expect(line).toMatch(/^█{15}░{15} 50% of 10\.0 MiB \| 1\.00 MiB\/s \| 5 s left \| peers 3\.00 MiB, source 2\.00 MiB$/)
  for (const columns of [200, 80, 40, 10, 1]) expect(barLine(HALF, columns).length).toBeLessThanOrEqual(columns)
})

test('without a known length there is no share and no end in sight', () => {
  const line = barLine({ ...HALF, totalBytes: undefined }, 120)
  expect(line).toBe('5.00 MiB | 1.00 MiB/s | peers 3.00 MiB, source 2.00 MiB')
  expect(barLine({ ...HALF, totalBytes: 0, rateBytes: 0 }, 120)).toContain('100% of 0 B')
})

test('without a terminal there are plain lines', () => {
  const lines: string[] = []
  openLines((line) => lines.push(line)).draw(HALF)
  expect(lines).toEqual(['dfget: 50% of 10.0 MiB, 1.00 MiB/s, 5 s left, peers 3.00 MiB, source 2.00 MiB\n'])
})
