import { flag, list, map, type SettingsOf, text } from '#core'
import { daemonSettings } from '#daemon'
import { pluginPolicySettings } from '#plugin'
import { schedulerSettings } from '#scheduler'
import { sourceSettings } from '#source'
import { storageSettings } from '#storage'
import type { Aliases } from './setting-flags.ts'

/** What every long-running program obeys. */
export const processSettings = {
  workhome: text(
    '',
    'Directory of the process: sockets, locks, plugins. Empty for the one of the machine or the user.',
  ),
  logdir: text('', 'Directory of the logs; empty for /var/log/dragonfly or <workhome>/logs.'),
  console: flag(false, 'Log to stderr instead of a file.'),
  verbose: flag(false, 'Log more.'),
  metrics: {
    listen: text('', 'host:port to serve Prometheus metrics at, path /metrics; empty serves none.'),
  },
}

/** Where plugins are, what they are told, and what they may. */
const pluginSettings = {
  pluginDirs: list([], 'Directories to look for plugins in, before <workhome>/plugins.'),
  plugins: map('Options of plugins, a mapping per scheme; also by DRAGONFLY_PLUGINS and --plugin-option.'),
  pluginPolicy: pluginPolicySettings,
}

/** Every setting of a daemon, from the parts that obey them. */
export const daemonTree = {
  ...processSettings,
  ...daemonSettings,
  storage: storageSettings,
  sources: sourceSettings,
  ...pluginSettings,
  embeddedScheduler: schedulerSettings,
}

export type DaemonTree = SettingsOf<typeof daemonTree>

/** Every setting of a scheduler that runs by itself. */
export const schedulerTree = { ...processSettings, ...pluginSettings, ...schedulerSettings }

export type SchedulerTree = SettingsOf<typeof schedulerTree>

/** Maps are for the file; these have flags with a grammar of their own, and the first has DRAGONFLY_PLUGINS. */
export const MAP_FLAGS: Readonly<Record<string, string>> = {
  plugins: '--plugin-option',
  'pluginPolicy.grants': '--plugin-grant',
}

export const DAEMON_ALIASES: Aliases = { scheduler: 'scheduler.addrs', 'plugin-dir': 'pluginDirs' }
