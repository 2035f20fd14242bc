import { join, resolve } from 'node:path'
import { Failure, resolveSettings } from '#core'
import { installPlugin, type InstallReport } from '#kit'
import { pluginDirs } from '#plugin'
import { directories, readConfig, untilStopped } from '#runtime'
import { sourceSettings, type SourceSettings } from '#source'
import { keepStdout, printLine, printResult } from '../own-stdout.ts'
import { pluginSettingsOf } from '../plugin-settings.ts'
import type { InstallFlags } from './install-command.ts'

export async function runInstall(what: string, flags: InstallFlags, program: string | undefined): Promise<void> {
  const { workhome } = directories(flags)
  const settings = pluginSettingsOf(flags, program)
  const dir = targetDir(flags, workhome)
  keepStdout()
  const { sha256, force } = flags
  const report = await installPlugin(
    { what, dir, sha256, force },
    {
      ...settings,
      sources: sourcesOf(flags.config),
      dirs: pluginDirs({ given: [...flags.pluginDir, ...settings.pluginDirs], workhome }),
      env: process.env,
      warn: (message) => void process.stderr.write(`${message}\n`),
    },
    untilStopped(),
  )
  if (flags.json) return printJson(report)
  for (const note of report.notes) process.stderr.write(`note: ${note}\n`)
  for (const line of linesOf(report)) printLine(line)
}

function targetDir({ pluginDir }: InstallFlags, workhome: string): string {
  const [dir, ...others] = pluginDir
  if (others.length > 0) throw new Failure('usage.invalid', 'a plugin goes into one directory: give --plugin-dir once')
  return dir === undefined ? join(workhome, 'plugins') : resolve(dir)
}

/** How to read an origin, where it is written in the settings of a daemon. */
function sourcesOf(config: string | undefined): SourceSettings {
  const values: unknown = config === undefined ? undefined : readConfig(config).values
  const sources = Object(values) as { readonly sources?: unknown }
  return resolveSettings(sourceSettings, [sources.sources])
}

function linesOf({ plugin, from, sha256, replaced }: InstallReport): string[] {
  const { type, name, path } = plugin
  const change = replaced === sha256 ? 'the same file again' : `sha256 before: ${replaced}`
  return [
    `installed ${type} plugin ${name}: ${path}`,
    `  from: ${from}`,
    `  sha256: ${sha256}`,
    ...(replaced === undefined ? [] : [`  replaced: ${change}`]),
  ]
}

function printJson({ plugin, ...facts }: InstallReport): void {
  const { type, name, path } = plugin
  printResult({ success: true, type, name, path, ...facts })
}
