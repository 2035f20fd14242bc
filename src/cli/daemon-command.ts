import { Command, Option } from 'commander'
import { DAEMON_ALIASES, daemonTree } from './daemon-settings.ts'
import { addPluginFlags, type PluginFlags } from './plugin-flags.ts'
import { loadSettings, settingFlags } from './setting-flags.ts'

interface DaemonFlags extends PluginFlags {
  readonly config?: string
  readonly launcher?: string
}

/** How long a daemon that nobody started by hand stays without work. */
const LAUNCHED_ALIVE_TIME = '5m'

/** `dfget daemon`, `dfdaemon`, and with one setting changed `cdn`. */
export function daemonCommand(name: string, { seed }: { readonly seed: boolean }): Command {
  const command = new Command(name)
    .description(
      seed
        ? 'Runs a seed: a daemon that reads origins for the others.'
        : 'Runs the daemon: brings files to this host, and serves their pieces to others.',
    )
    .option('--config <file>', 'YAML file with settings; flags count more')
    .addOption(new Option('--launcher <pid>', 'dfget that starts this daemon').hideHelp())
  const flags = settingFlags(command, daemonTree, DAEMON_ALIASES)
  addPluginFlags(command)
  return command.action(async ({ config, launcher, ...plugins }: DaemonFlags) => {
    const preset = { seed, ...(launcher === undefined ? {} : { aliveTime: LAUNCHED_ALIVE_TIME }) }
    const settings = loadSettings(daemonTree, { preset, config, flags: flags(), plugins })
    const { runDaemon } = await import('./run-daemon.ts')
    await runDaemon(settings, launcher !== undefined)
  })
}
