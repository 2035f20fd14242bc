import { parseArgs } from 'node:util'
import { dfgetFromOrigin } from './from-origin.ts'
import { dfgetFromSeed } from './from-seed.ts'
import { type Goal, showGoals } from './measure.ts'
import { dfgetOneByte } from './one-byte.ts'
import { isolatedPlugin } from './plugin.ts'

const MiB = 2 ** 20
const BENCHMARKS = { origin: dfgetFromOrigin, seed: dfgetFromSeed, byte: dfgetOneByte, plugin: isolatedPlugin }
const USAGE = `npm run bench -- [origin] [seed] [byte] [plugin] [--size MiB] [--runs N] [--check]

  --size    length of the file in MiB (1024)
  --runs    measured runs of each case (5)
  --check   the short form for CI: 256 MiB, 3 runs, fails only where a goal is missed three times over`
/** A busy machine may be slow; only a collapse fails. */
const SLACK_OF_CHECK = 3

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: 'string' },
    runs: { type: 'string' },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) console.log(USAGE)
else await main()

async function main(): Promise<void> {
  const sizeBytes = count(values.size ?? (values.check ? '256' : '1024')) * MiB
  const runs = count(values.runs ?? (values.check ? '3' : '5'))
  const wanted = Object.entries(BENCHMARKS).filter(([name]) => positionals.length === 0 || positionals.includes(name))
  const goals: Goal[] = []
  for (const [, benchmark] of wanted) goals.push(...(await benchmark({ sizeBytes, runs })))
  if (!showGoals(goals, values.check ? SLACK_OF_CHECK : 1)) process.exitCode = 1
}

function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new Error(`"${text}" is not a number\n\n${USAGE}`)
  return Number(text)
}
