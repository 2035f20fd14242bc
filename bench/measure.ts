/** One way of doing the work, timed in turn with the others. */
export interface Case {
  readonly name: string
  /** Makes the ground for one run; not timed. */
  prepare?(): Promise<void>
  /** Does the work once and says how many milliseconds it took. */
  run(): Promise<number>
  /** Undoes it; not timed. */
  clear?(): Promise<void>
}

export interface Measured {
  readonly name: string
  readonly medianMs: number
  readonly minMs: number
  readonly maxMs: number
  /** To the median of the first case. */
  readonly ratio: number
}

/**
 * Runs every case once unmeasured (the first touch of memory and caches costs), then `runs` times. Each round starts
 * with another case, so that none always follows the same one.
 */
export async function measure(cases: readonly Case[], runs: number, between: () => Promise<void>): Promise<Measured[]> {
  const times = new Map(cases.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round <= runs; round++) {
    for (let turn = 0; turn < cases.length; turn++) {
      const each = cases[(round + turn) % cases.length]
      if (each === undefined) continue
      await each.prepare?.()
      await between()
      const ms = await each.run()
      if (round > 0) times.get(each.name)?.push(ms)
      await each.clear?.()
    }
  }
  const first = median(times.get(cases[0]?.name ?? '') ?? [])
  return cases.map(({ name }) => {
    const all = times.get(name) ?? []
    const medianMs = median(all)
    return { name, medianMs, minMs: Math.min(...all), maxMs: Math.max(...all), ratio: medianMs / first }
  })
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]]
  return (low + high) / 2
}

/** A line that has to hold. */
export interface Goal {
  readonly what: string
  readonly value: number
  readonly atMost: number
  readonly unit: string
}

export function showTable(title: string, measured: readonly Measured[]): void {
  const width = Math.max(...measured.map(({ name }) => name.length))
  console.log(`\n${title}\n${''.padEnd(width)}    median       min       max   ratio`)
  for (const { name, medianMs, minMs, maxMs, ratio } of measured) {
    const cells = [medianMs, minMs, maxMs].map((ms) => `${ms.toFixed(0)} ms`.padStart(10)).join('')
    console.log(`${name.padEnd(width)}${cells}${ratio.toFixed(2).padStart(8)}`)
  }
}

/** With some slack a goal is only a guard against a collapse. Says whether all of them hold. */
export function showGoals(goals: readonly Goal[], slack: number): boolean {
  console.log(slack === 1 ? '\nGoals' : `\nGoals, ${slack} times over`)
  const holds = ({ value, atMost }: Goal): boolean => value <= atMost * slack
  for (const goal of goals) {
    const { what, value, atMost, unit } = goal
    const word = holds(goal) ? 'met   ' : 'MISSED'
    console.log(`${word}  ${what}: ${value.toFixed(2)}${unit} (at most ${atMost * slack}${unit})`)
  }
  return goals.every(holds)
}
