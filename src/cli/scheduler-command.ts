import { Command } from 'commander'
import { schedulerTree } from './daemon-settings.ts'
import { addPluginFlags, type PluginFlags } from './plugin-flags.ts'
import { loadSettings, settingFlags } from './setting-flags.ts'

/** `scheduler`: decides who fetches from whom. */
export function schedulerCommand(): Command {
  const command = new Command('scheduler')
    .description('Runs a scheduler: it tells hosts whom to fetch pieces from, and never touches them itself.')
    .option('--config <file>', 'YAML file with settings; flags count more')
  const flags = settingFlags(command, schedulerTree, { 'plugin-dir': 'pluginDirs' })
  addPluginFlags(command)
  return command.action(async ({ config, ...plugins }: { readonly config?: string } & PluginFlags) => {
    const settings = loadSettings(schedulerTree, { config, flags: flags(), plugins })
    const { runScheduler } = await import('./run-scheduler.ts')
    await runScheduler(settings)
  })
}
