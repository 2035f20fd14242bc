import { Command, Option } from 'commander'

export interface RemoveFlags {
  readonly workhome?: string
  readonly pluginDir: readonly string[]
  readonly json: boolean
}

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** `dfget plugin remove`: the plugin of a scheme that is used now. */
export function removeCommand(): Command {
  const dirs = new Option('--plugin-dir <dir>', 'look only here (repeatable)').argParser(repeat).default([])
  return new Command('remove')
    .description('Removes the plugin of a scheme that is used now, and tells which one that was.')
    .summary('remove the plugin of a scheme')
    .argument('<scheme>', 'the scheme of its URLs')
    .option('--workhome <dir>', 'look into the plugins directory of this work home')
    .addOption(dirs)
    .option('--json', 'print one result object on stdout, and nothing else there', false)
    .action(async (scheme: string, flags: RemoveFlags) => {
      const { runRemove } = await import('./run-remove.ts')
      await runRemove(scheme, flags)
    })
}
