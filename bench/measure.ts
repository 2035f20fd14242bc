import type { Report } from './report.ts'

/** What one run took. */
export interface Sample {
  readonly ms: number
  /** User and system, of all processes that belong to the case; undefined where nobody counted. */
  readonly cpuMs?: number
}

/** One way of doing the work, timed in turn with the others. */
export interface Case {
  readonly name: string
  /** Makes the ground for one run; not timed. */
  prepare?(): Promise<void>
  /** Does the work once and says what it took. */
  run(): Promise<Sample>
  /** Undoes it; not timed. */
  clear?(): Promise<void>
}

/** The middle of all runs. */
export interface Measured {
  readonly name: string
  readonly medianMs: number
  readonly minMs: number
  readonly maxMs: number
  /** To the median of the first case. */
  readonly ratio: number
  /** NaN where nobody counted. */
  readonly cpuMs: number
  /** Of its CPU to that of the first case. */
  readonly cpuRatio: number
}

/**
 * Runs every case once unmeasured (the first touch of memory and caches costs), then `runs` times. Each round starts
 * with another case, so that none always follows the same one.
 */
export async function measure(cases: readonly Case[], runs: number, between: () => Promise<void>): Promise<Measured[]> {
  const samples = new Map(cases.map(({ name }) => [name, [] as Sample[]]))
  for (let round = 0; round <= runs; round++) {
    for (let turn = 0; turn < cases.length; turn++) {
      const each = cases[(round + turn) % cases.length]
      if (each === undefined) continue
      await each.prepare?.()
      await between()
      const sample = await each.run()
      if (round > 0) samples.get(each.name)?.push(sample)
      await each.clear?.()
    }
  }
  const [first] = samples.values()
  return cases.map(({ name }) => summed(name, samples.get(name) ?? [], first ?? []))
}

function summed(name: string, samples: readonly Sample[], first: readonly Sample[]): Measured {
  const all = samples.map(({ ms }) => ms)
  const [medianMs, cpuMs] = [median(all), cpuOf(samples)]
  const [ratio, cpuRatio] = [medianMs / median(first.map(({ ms }) => ms)), cpuMs / cpuOf(first)]
  return { name, medianMs, minMs: Math.min(...all), maxMs: Math.max(...all), ratio, cpuMs, cpuRatio }
}

function cpuOf(samples: readonly Sample[]): number {
  return median(samples.map(({ cpuMs = Number.NaN }) => cpuMs))
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]]
  return (low + high) / 2
}

/** The name, the title and the table of what was measured, and bars of the ratios. */
export function measuredTable(
  name: string,
  title: string,
  measured: readonly Measured[],
): Pick<Report, 'name' | 'title' | 'columns' | 'rows' | 'plots'> {
  const bars = measured.map(({ name, ratio, minMs, maxMs, medianMs }) => {
    const span = { low: (ratio * minMs) / medianMs, high: (ratio * maxMs) / medianMs }
    return { name, value: ratio, ...span, own: /^dfget\b/.test(name) }
  })
  const plot = { kind: 'bars', unit: ' ×', bars, mark: { value: 1, label: measured[0]?.name ?? '' } } as const
  return {
    name,
    title,
    columns: COLUMNS,
    rows: measured.map(({ name, medianMs, minMs, maxMs, ratio, cpuMs, cpuRatio }) => {
      const cpu = Number.isNaN(cpuMs) ? [undefined, undefined] : [cpuMs, cpuRatio]
      return [name, medianMs, minMs, maxMs, ratio, ...cpu]
    }),
    plots: [{ name, title, plot }],
  }
}

const COLUMNS = [
  { heading: 'by' },
  { heading: 'median ms', digits: 0 },
  { heading: 'min', digits: 0 },
  { heading: 'max', digits: 0 },
  { heading: 'ratio' },
  { heading: 'CPU ms', digits: 0 },
  { heading: 'CPU ratio' },
]

export type { Goal } from './report.ts'
