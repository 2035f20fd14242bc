import { type Command, Option } from 'commander'
import { optionHelp } from '../option-help.ts'

/** What every command about plugins takes. */
export interface PluginFlags {
  readonly workhome?: string
  readonly pluginDir: readonly string[]
  readonly config?: string
  readonly pluginOption: readonly string[]
  readonly pluginGrant: readonly string[]
}

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** Where plugins lie, and what they are given: the same flags, meaning the same, at each command. */
export function withPluginFlags(command: Command): Command {
  const many = (flags: string, help: string): Option => new Option(flags, help).argParser(repeat).default([])
  return command
    .configureHelp({ optionDescription: optionHelp })
    .option('--workhome <dir>', 'look into the plugins directory of this work home')
    .addOption(many('--plugin-dir <dir>', 'look here as well, and first (repeatable)'))
    .option('--config <file>', 'settings with the options of plugins and what is granted to them')
    .addOption(many('--plugin-option <scheme.key=value>', 'an option of a plugin (repeatable)'))
    .addOption(
      many('--plugin-grant <scheme.kind=value>', 'something a plugin may use; scheme=all for all (repeatable)'),
    )
}
