import { Command } from 'commander'
import { listPlugins, pluginDirs, renderListing } from '#plugin'
import { directories, readConfig } from '#runtime'
import { optionHelp } from './option-help.ts'
import { keepStdout, printLine } from './own-stdout.ts'

interface PluginFlags {
  readonly workhome?: string
  readonly pluginDir: readonly string[]
  readonly config?: string
}

const repeat = (value: string, before: readonly string[]): readonly string[] => [...before, value]

/** `dfget plugin`: really loads each plugin, as a download would. */
export function pluginCommand(): Command {
  return new Command('plugin')
    .description('Lists the plugins that are found: good ones on stdout, what is wrong with others on stderr.')
    .configureHelp({ optionDescription: optionHelp })
    .option('--workhome <dir>', 'look into the plugins directory of this work home')
    .option('--plugin-dir <dir>', 'look here as well (repeatable)', repeat, [])
    .option('--config <file>', 'settings with the options of plugins')
    .action(async (flags: PluginFlags) => {
      const dirs = pluginDirs({ given: flags.pluginDir, workhome: directories(flags).workhome })
      keepStdout()
      const { stdout, stderr, exitCode } = renderListing(await listPlugins({ dirs, options: optionsOf(flags.config) }))
      for (const line of stderr) process.stderr.write(`${line}\n`)
      for (const line of stdout) printLine(line)
      process.exitCode = exitCode
    })
}

function optionsOf(config: string | undefined): Readonly<Record<string, unknown>> {
  const values = config === undefined ? undefined : readConfig(config).values
  if (!isRecord(values) || !isRecord(values['plugins'])) return {}
  return values['plugins']
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
