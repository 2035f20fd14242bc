import { Command } from 'commander'
import { type PluginFlags, withPluginFlags } from './plugin-flags.ts'
import { refuseWord } from './refuse-word.ts'

export interface ListFlags extends PluginFlags {
  readonly json: boolean
  readonly verbose: boolean
}

/** `dfget plugin list`: really loads each plugin, as a download would. */
export function listCommand(): Command {
  return withPluginFlags(new Command('list'))
    .description(
      'Loads every plugin as a download would, and lists them: good ones and built-in sources on stdout, what is wrong with others on stderr. The exit code is 1 when a plugin cannot be used.',
    )
    .summary('load every plugin, and tell which are good and what is wrong with the others')
    .option('--verbose', 'tell the hash, the options and the permissions of each as well', false)
    .option('--json', 'print one object with all that is known on stdout, and nothing else there', false)
    .allowExcessArguments() // they are slips, and are told as such
    .action(async (flags: ListFlags, command: Command) => {
      const [word] = command.args
      if (word !== undefined) refuseWord(word, command)
      const { runList } = await import('./run-list.ts')
      await runList(flags, command.parent?.parent?.name())
    })
}
