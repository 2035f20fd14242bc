import { Command } from 'commander'
import { installCommand } from './plugin/install-command.ts'
import { listCommand } from './plugin/list-command.ts'
import { removeCommand } from './plugin/remove-command.ts'

const MORE = `
Without a command it is list: "plugin --verbose" is "plugin list --verbose".`

/** `dfget plugin`, and the same of the other programs. What a command needs to run is loaded when it is run. */
export function pluginCommand(): Command {
  return new Command('plugin')
    .description('Lists, checks, installs and removes plugins, and helps to write them.')
    .usage('[command] [options]')
    .enablePositionalOptions()
    .addCommand(listCommand(), { isDefault: true })
    .addCommand(installCommand())
    .addCommand(removeCommand())
    .addHelpText('after', MORE)
}
