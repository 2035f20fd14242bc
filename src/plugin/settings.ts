import { duration, flag, map, number, type SettingsOf, size } from '#core'

/** What every plugin of a host may take and do. Options of single plugins are not here: see `plugins`. */
export const pluginPolicySettings = {
  memory: size(
    512 * 2 ** 20,
    'Memory (resident) of one plugin; one that takes more is ended. On Linux; elsewhere only its JavaScript heap is held to it.',
  ),
  startTimeout: duration(10_000, 'How long a plugin may take to load, and then again to initialise.'),
  hangTimeout: duration(10_000, 'A plugin that is asked something and does not react at all for so long is ended.'),
  drainTimeout: duration(
    10_000,
    'How long a plugin whose file was replaced is kept after its last call, for tasks that go on.',
  ),
  crashes: number(5, 'Crashes of one plugin within a minute after which it is left alone.', { min: 1, max: 1000 }),
  coolDown: duration(30_000, 'How long a plugin that crashed too often is left alone; calls fail at once meanwhile.'),
  grants: map(
    'What plugins may use of this machine, a mapping per scheme with files, writes, environment, network (lists), ' +
      'processes and addons (true or false); or `all`. In the file, or by --plugin-grant.',
  ),
  evaluatorTimeout: duration(
    50,
    'How long an evaluator has to rank the parents of one child; the scheduler ranks those itself for which it is late.',
  ),
  strict: flag(
    false,
    'Refuse to start when a plugin that this program would use is broken or refused; else it is told, and done without.',
  ),
  pins: map('SHA-256 that a plugin file must have, in hex, by scheme; any other file is refused.'),
}

export type PluginPolicy = SettingsOf<typeof pluginPolicySettings>
