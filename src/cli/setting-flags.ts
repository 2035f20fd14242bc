import { type Command, Option } from 'commander'
import {
  type Declarations,
  Failure,
  flattenSettings,
  messageOf,
  resolveSettings,
  type Setting,
  type SettingsOf,
} from '#core'
import { readConfig } from '#runtime'
import type { PluginFlags } from './plugin-flags.ts'
import { givenPlugins, pluginLayer } from './plugin-layers.ts'

/** Short flags for the settings that are given most: flag without dashes → dotted key. */
export type Aliases = Readonly<Record<string, string>>

/**
 * Gives a command one flag per setting, and reads them back as one layer of nested values. Maps have no flag of this
 * kind: they are for the file, and for flags with a grammar of their own (see plugin-layers.ts).
 */
export function settingFlags(command: Command, declarations: Declarations, aliases: Aliases): () => unknown {
  const layer: Layer = {}
  // The descriptions hold the defaults already, written as a person would.
  command.configureHelp({ optionDescription: ({ description }) => description })
  for (const [key, setting] of flattenSettings(declarations)) {
    if (setting.kind === 'map') continue
    const main = flagName(key)
    const others = Object.keys(aliases).filter((name) => aliases[name] === key && name !== main)
    for (const name of [main, ...others]) {
      const option = new Option(`--${name} ${placeholder(setting)}`, name === main ? describe(setting) : `= --${main}`)
      if (setting.kind === 'flag') option.preset('') // a flag without a value
      command.addOption(
        option.argParser((value: string) => put(layer, key.split('.'), setting, check(name, setting, value))),
      )
    }
  }
  return () => layer
}

/** `upload.piecePort` → `upload-piece-port` */
export function flagName(key: string): string {
  return key.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** Checked settings from what the program presets, a YAML file and flags; the later counts more. */
export function loadSettings<D extends Declarations>(
  declarations: D,
  layers: {
    readonly preset?: unknown
    readonly config?: string | undefined
    readonly flags: unknown
    /** For a program that has plugins. */
    readonly plugins?: PluginFlags
  },
): SettingsOf<D> {
  const file = layers.config === undefined ? undefined : readConfig(layers.config)
  const given = layers.plugins && givenPlugins(layers.plugins, process.env)
  try {
    const plugins = given && pluginLayer(file?.values, given)
    return resolveSettings(declarations, [layers.preset, file?.values, layers.flags, plugins])
  } catch (error) {
    if (file === undefined || !(error instanceof Failure)) throw error
    const lines = error.message.split('\n').map((line) => `${file.place(line.slice(0, line.indexOf(':')))}: ${line}`)
    throw new Failure('config.invalid', lines.join('\n'))
  }
}

function describe(setting: Setting<unknown>): string {
  const written = setting.format(setting.default)
  const choices = setting.choices === undefined ? '' : ` One of ${setting.choices.join(', ')}.`
  return `${setting.help}${choices} (default: ${written === '' ? 'none' : written})`
}

function placeholder(setting: Setting<unknown>): string {
  return setting.kind === 'flag' ? '[true|false]' : `<${setting.kind}>`
}

function check(name: string, setting: Setting<unknown>, value: string): string {
  try {
    setting.parse(value)
    return value
  } catch (error) {
    throw new Failure('usage.invalid', `--${name} "${value}" ${messageOf(error)}`)
  }
}

type Layer = { [key: string]: unknown }

/** Puts a value at its place; a list that is given more than once has all of its parts. */
function put(layer: Layer, [head = '', ...rest]: readonly string[], setting: Setting<unknown>, value: string): void {
  const before = layer[head]
  if (rest.length > 0) {
    const below: Layer = isRecord(before) ? before : {}
    layer[head] = below
    put(below, rest, setting, value)
  } else {
    layer[head] = setting.kind === 'list' && typeof before === 'string' ? `${before},${value}` : value
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
