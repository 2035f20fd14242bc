import { Command } from 'commander'
import { schedulerTree } from './daemon-settings.ts'
import { loadSettings, settingFlags } from './setting-flags.ts'

/** `scheduler`: decides who fetches from whom. */
export function schedulerCommand(): Command {
  const command = new Command('scheduler')
    .description('Runs a scheduler: it tells hosts whom to fetch pieces from, and never touches them itself.')
    .option('--config <file>', 'YAML file with settings; flags count more')
  const flags = settingFlags(command, schedulerTree, {})
  return command.action(async ({ config }: { readonly config?: string }) => {
    const settings = loadSettings(schedulerTree, { config, flags: flags() })
    const { runScheduler } = await import('./run-scheduler.ts')
    await runScheduler(settings)
  })
}
