import type { Command } from 'commander'

/** What a command line says of plugins beyond where they are. */
export interface PluginFlags {
  readonly pluginOption: readonly string[]
  readonly pluginGrant: readonly string[]
}

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** Gives a command the two flags. */
export function addPluginFlags(command: Command): Command {
  return command
    .option(
      '--plugin-option <scheme.key=value>',
      'option of a plugin (repeatable); env:NAME and file:/path name secrets',
      repeat,
      [],
    )
    .option(
      '--plugin-grant <scheme.kind=value>',
      'what a plugin may use: files, writes, environment, processes, addons; or scheme=all (repeatable)',
      repeat,
      [],
    )
}
