import { CommanderError } from 'commander'
import { asFailure, Failure, FAILURES, messageOf } from '#core'
import { guardProcess, redactUrls } from '#runtime'
import { printResult } from './own-stdout.ts'
import type { Program } from './programs.ts'
import { reportFailure } from './report-failure.ts'

const LINGER_MS = 500

/** Does the work of a program: what goes wrong is told, and becomes the exit code. The process ends when nothing is left to do. */
export async function runProgram(program: Program, argv: readonly string[], work: () => Promise<void>): Promise<void> {
  using _run = watchRun(program, argv)
  try {
    await work()
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return // help was asked for, and given
    const failure = asFailure(asUsage(error))
    tellResult(program, argv, failure)
    process.exitCode = reportFailure(program, failure, argv.includes('--verbose'))
  } finally {
    // Our own work is over. A timer or a connection that was left behind does not keep the process.
    setTimeout(() => process.exit(), LINGER_MS).unref()
  }
}

/**
 * Looks after what goes wrong beside the run. A stray error is a warning as long as the run comes to its end; when nothing is left to wait for before that, the run has broken off.
 */
function watchRun(program: Program, argv: readonly string[]): Disposable {
  // Whoever writes is told by its own callback. A reader of mere lines that went away stops nothing.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  let stray = 'nothing is left to wait for'
  guardProcess((error) => {
    stray = oneLine(error)
    process.stderr.write(`${program}: warning: something failed beside the run: ${stray}\n`)
  })
  const brokenOff = (): void => {
    const failure = new Failure('internal', `the run broke off: ${stray}`)
    tellResult(program, argv, failure)
    process.stderr.write(`${program}: ${failure.message}\n`)
    process.exitCode = FAILURES.internal.exit
  }
  process.once('beforeExit', brokenOff)
  return { [Symbol.dispose]: () => void process.off('beforeExit', brokenOff) }
}

/** `--json` promises one object on stdout, whatever happens. */
function tellResult(program: Program, argv: readonly string[], { code, message, exit }: Failure): void {
  const words = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  if (program === 'dfget' && words.includes('--json')) printResult({ success: false, code, message, exit })
}

function asUsage(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error
  return new Failure('usage.invalid', redactUrls(error.message.replace(/^error: /, '').replace(/\n\(?/, ' (')))
}

function oneLine(error: unknown): string {
  return redactUrls(messageOf(error)).replaceAll(/\s+/g, ' ').slice(0, 1000)
}
