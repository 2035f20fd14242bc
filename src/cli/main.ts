import { CommanderError, type Command } from 'commander'
import { Failure } from '#core'
import { commandFor, type Program } from './programs.ts'
import { reportFailure } from './report-failure.ts'

const LINGER_MS = 500

/** Runs one program: argv in, exit code out. The process ends when nothing is left to do. */
export async function main(program: Program, argv: readonly string[]): Promise<void> {
  try {
    const command = await commandFor(program, argv)
    quieten(command)
    await command.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return // help was asked for, and given
    process.exitCode = reportFailure(program, asUsage(error), argv.includes('--verbose'))
  } finally {
    // Our own work is over. A plugin may have left a timer or a connection behind: it does not keep the process.
    setTimeout(() => process.exit(), LINGER_MS).unref()
  }
}

/** Mistakes come here as errors, so that all of them are told in one voice. */
function quieten(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} })
  command.commands.forEach(quieten)
}

function asUsage(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error
  return new Failure('usage.invalid', error.message.replace(/^error: /, '').replace(/\n\(?/, ' ('))
}
