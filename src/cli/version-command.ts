import { Command } from 'commander'
import { versionLine } from './version-line.ts'

export function versionCommand(): Command {
  return new Command('version').description('Prints the version.').action(() => {
    process.stdout.write(`${versionLine()}\n`)
  })
}
