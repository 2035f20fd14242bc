import type { Command } from 'commander'
import { commandFor, type Program } from './programs.ts'
import { runProgram } from './run-program.ts'

/** Runs one program: argv in, exit code out. The process ends when nothing is left to do. */
export async function main(program: Program, argv: readonly string[]): Promise<void> {
  await runProgram(program, argv, async () => {
    const command = await commandFor(program, argv)
    quieten(command)
    await command.parseAsync([...argv], { from: 'user' })
  })
}

/** Mistakes come here as errors, so that all of them are told in one voice. */
function quieten(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} })
  command.commands.forEach(quieten)
}
