import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SilenceWatch } from './silence-watch.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function watch(): { watch: SilenceWatch; told: string[] } {
  const told: string[] = []
  const since = performance.now()
  const at = (): number => Math.round((performance.now() - since) / 100) * 100
  const silence = new SilenceWatch({
    silentMs: 1000,
    silent: () => told.push(`silent ${at()}`),
    late: () => told.push(`late ${at()}`),
  })
  return { watch: silence, told }
}

test('a silence is told once, and its end when it lasts too long', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  vi.advanceTimersByTime(10_000)
  expect(told).toEqual(['silent 1000', 'late 5000'])
})

test('whoever is heard often enough is not silent', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  for (let i = 0; i < 20; i++) {
    vi.advanceTimersByTime(900)
    silence.heard()
  }
  expect(told).toEqual([])
})

test('a silence counts from what was heard last, and each is told', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  vi.advanceTimersByTime(700)
  silence.heard()
  vi.advanceTimersByTime(2000) // silent at 1700
  silence.heard() // at 2700
  vi.advanceTimersByTime(8000)
  expect(told).toEqual(['silent 1700', 'silent 3700', 'late 7700'])
})

test('a pause is no silence', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  vi.advanceTimersByTime(500)
  silence.pause(true)
  vi.advanceTimersByTime(60_000)
  expect(told).toEqual([])
  silence.pause(false)
  vi.advanceTimersByTime(1200)
  expect(told).toEqual(['silent 61500'])
})

test('nothing is told of who may be silent, nor twice of who was given up', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  silence.stop()
  silence.heard()
  vi.advanceTimersByTime(10_000)
  silence.start(500) // less than what counts as a silence
  vi.advanceTimersByTime(10_000)
  expect(told).toEqual(['late 10500'])
})

test('who was heard while this process was busy was not silent', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  vi.advanceTimersToNextTimer() // the timer is late; what lies in the socket is read after the timers
  silence.heard()
  vi.advanceTimersByTime(900)
  expect(told).toEqual([])
})

test('who may be silent after all is not told of', () => {
  const { watch: silence, told } = watch()
  silence.start(5000)
  vi.advanceTimersToNextTimer()
  silence.stop()
  vi.advanceTimersByTime(10_000)
  expect(told).toEqual([])
})
