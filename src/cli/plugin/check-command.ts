import { Command } from 'commander'
import { type PluginSettingFlags, withPluginSettingFlags } from './plugin-flags.ts'

export interface CheckFlags extends PluginSettingFlags {
  readonly json: boolean
}

const MORE = `
Exit codes: 0 nothing is wrong (notes may be told), 1 warnings, 3 a host would not use it, 2 the command line is wrong.`

/** `dfget plugin check`: all that can be said of a plugin file. */
export function checkCommand(): Command {
  return withPluginSettingFlags(new Command('check'))
    .description('Loads plugin files apart, as a host does, and says of each thing about them whether it is right.')
    .summary('say what is right and what is wrong with plugin files')
    .argument('<file...>', 'plugin files, or folders')
    .option('--json', 'print one object on stdout, and nothing else there', false)
    .addHelpText('after', MORE)
    .action(async (files: readonly string[], flags: CheckFlags) => {
      const { runCheck } = await import('./run-check.ts')
      await runCheck(files, flags)
    })
}
