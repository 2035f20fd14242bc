import { Command } from 'commander'
import { buildCommand } from './plugin/build-command.ts'
import { checkCommand } from './plugin/check-command.ts'
import { installCommand } from './plugin/install-command.ts'
import { listCommand } from './plugin/list-command.ts'
import { newCommand } from './plugin/new-command.ts'
import { removeCommand } from './plugin/remove-command.ts'
import { testCommand } from './plugin/test-command.ts'

const MORE = `
Without a command it is list: "plugin --verbose" is "plugin list --verbose".`

/** `dfget plugin`, and the same of the other programs. What a command needs to run is loaded when it is run. */
export function pluginCommand(): Command {
  return new Command('plugin')
    .description('Lists, checks, installs and removes plugins, and helps to write them.')
    .usage('[command] [options]')
    .enablePositionalOptions()
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(newCommand())
    .addCommand(buildCommand())
    .addCommand(checkCommand())
    .addCommand(testCommand())
    .addCommand(installCommand())
    .addCommand(removeCommand())
    .addHelpText('after', MORE)
}
