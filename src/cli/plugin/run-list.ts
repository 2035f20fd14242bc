import { listingJson, listPlugins, pluginDirs, renderListing } from '#plugin'
import { directories } from '#runtime'
import { keepStdout, printLine, printResult } from '../own-stdout.ts'
import { pluginSettingsOf } from '../plugin-settings.ts'
import type { ListFlags } from './list-command.ts'

export async function runList(flags: ListFlags, program: string | undefined): Promise<void> {
  const settings = pluginSettingsOf(flags, program)
  const given = flags.pluginDir.length > 0 ? flags.pluginDir : settings.pluginDirs
  const dirs = pluginDirs({ given, workhome: directories(flags).workhome })
  const tell = (line: string): void => void process.stderr.write(`${line}\n`)
  keepStdout()
  const listed = await listPlugins({ ...settings, dirs, warn: tell })
  const { stdout, stderr, exitCode } = renderListing(listed, { verbose: flags.verbose })
  if (flags.json) printResult(listingJson(listed))
  else {
    for (const line of stderr) tell(line)
    for (const line of stdout) printLine(line)
  }
  process.exitCode = exitCode
}
