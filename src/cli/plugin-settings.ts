import { resolve } from 'node:path'
import type { PluginOptions, PluginPolicy } from '#plugin'
import { daemonTree, schedulerTree } from './daemon-settings.ts'
import { type PluginFlags } from './plugin-flags.ts'
import { loadSettings } from './setting-flags.ts'

export interface PluginSettingFlags extends Partial<PluginFlags> {
  readonly config?: string
}

/** What the sub-commands of `plugin` obey: the settings of their program, as far as they are about plugins. */
export function pluginSettingsOf(
  flags: PluginSettingFlags,
  program = 'dfget',
): {
  readonly options: PluginOptions
  readonly policy: PluginPolicy
  readonly pluginDirs: readonly string[]
} {
  const { pluginOption = [], pluginGrant = [], config } = flags
  const tree: typeof daemonTree | typeof schedulerTree = program === 'scheduler' ? schedulerTree : daemonTree
  const settings = loadSettings(tree, { config, flags: {}, plugins: { pluginOption, pluginGrant } })
  const pluginDirs = settings.pluginDirs.map((path) => resolve(path))
  return { options: settings.plugins, policy: settings.pluginPolicy, pluginDirs }
}
