import { resolve } from 'node:path'
import { removePlugin, type RemoveReport } from '#kit'
import { type PluginDir, pluginDirs } from '#plugin'
import { directories } from '#runtime'
import { redactText } from '#source'
import { printLine, printResult } from '../own-stdout.ts'
import type { RemoveFlags } from './remove-command.ts'

export async function runRemove(scheme: string, flags: RemoveFlags): Promise<void> {
  const report = await removePlugin(scheme, searchedDirs(flags))
  const { plugin, dir, installed, next } = report
  if (flags.json) {
    const { type, name, path } = plugin
    return printResult({ success: true, type, name, path, dir, installed, next: next?.path })
  }
  for (const line of linesOf(report)) printLine(line)
}

function searchedDirs({ pluginDir, ...choice }: RemoveFlags): PluginDir[] {
  if (pluginDir.length > 0) return pluginDir.map((path) => ({ path: resolve(path), given: true }))
  return pluginDirs({ workhome: directories(choice).workhome })
}

function linesOf({ plugin, installed, next }: RemoveReport): string[] {
  const { type, name, path, folder } = plugin
  const origin = installed === undefined ? '' : `, installed ${installed.at} from ${redactText(installed.from)}`
  const lines = [`removed ${type} plugin ${name}: the ${folder ? 'folder' : 'file'} ${path}${origin}`]
  if (next !== undefined) lines.push(`in its place ${next.path} is used now`)
  return lines
}
