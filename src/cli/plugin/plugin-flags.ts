import { type Command, Option } from 'commander'
import { optionHelp } from '../option-help.ts'
import { addPluginFlags, type PluginFlags as GivenFlags } from '../plugin-flags.ts'

/** What plugins are given. */
export interface PluginSettingFlags extends GivenFlags {
  readonly config?: string
}

/** And where they lie. */
export interface PluginFlags extends PluginSettingFlags {
  readonly workhome?: string
  readonly pluginDir: readonly string[]
}

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** Where plugins lie, and what they are given: the same flags, meaning the same, at each command. */
export function withPluginFlags(command: Command): Command {
  return withPluginSettingFlags(withPlaceFlags(command))
}

/** For commands that run no plugin. */
export function withPlaceFlags(command: Command): Command {
  const dirs = new Option(
    '--plugin-dir <dir>',
    'a plugin directory, before those that are searched unasked (repeatable)',
  )
  return command
    .configureHelp({ optionDescription: optionHelp })
    .option('--workhome <dir>', 'the work home whose plugins directory is meant')
    .addOption(dirs.argParser(repeat).default([]))
}

/** For commands that are told which file. */
export function withPluginSettingFlags(command: Command): Command {
  command
    .configureHelp({ optionDescription: optionHelp })
    .option('--config <file>', 'settings with the options of plugins and what is granted to them')
  return addPluginFlags(command)
}
