import { Command } from 'commander'
import { withPlaceFlags } from './plugin-flags.ts'

export interface RemoveFlags {
  readonly workhome?: string
  readonly pluginDir: readonly string[]
  readonly json: boolean
}

/** `dfget plugin remove`: the plugin of a scheme that is used now. */
export function removeCommand(): Command {
  return withPlaceFlags(new Command('remove'))
    .description(
      'Removes the plugin of a scheme that is used now, and tells which one that was. With --plugin-dir it looks only there.',
    )
    .summary('remove the plugin of a scheme')
    .argument('<scheme>', 'the scheme of its URLs')
    .option('--json', 'print one result object on stdout, and nothing else there', false)
    .action(async (scheme: string, flags: RemoveFlags) => {
      const { runRemove } = await import('./run-remove.ts')
      await runRemove(scheme, flags)
    })
}
