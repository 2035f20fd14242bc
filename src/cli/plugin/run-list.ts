import { listingJson, listPlugins, pluginDirs, renderListing } from '#plugin'
import { directories } from '#runtime'
import { keepStdout, printLine, printResult } from '../own-stdout.ts'
import { pluginSettingsOf } from '../plugin-settings.ts'
import type { ListFlags } from './list-command.ts'

export async function runList(flags: ListFlags): Promise<void> {
  const dirs = pluginDirs({ given: flags.pluginDir, workhome: directories(flags).workhome })
  const tell = (line: string): void => void process.stderr.write(`${line}\n`)
  keepStdout()
  const listed = await listPlugins({ ...pluginSettingsOf(flags), dirs, warn: tell })
  const { stdout, stderr, exitCode } = renderListing(listed, { verbose: flags.verbose })
  if (flags.json) printResult(listingJson(listed))
  else {
    for (const line of stderr) tell(line)
    for (const line of stdout) printLine(line)
  }
  process.exitCode = exitCode
}
