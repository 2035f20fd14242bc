import { checkFile, EXIT_CODES, type FileReport, worstOf } from '#kit'
import { keepStdout, printLine, printResult } from '../own-stdout.ts'
import { pluginSettingsOf } from '../plugin-settings.ts'
import type { CheckFlags } from './check-command.ts'

export async function runCheck(files: readonly string[], flags: CheckFlags): Promise<void> {
  keepStdout()
  const { options, policy } = pluginSettingsOf(flags)
  const reports: FileReport[] = []
  for (const file of files) {
    const report = await checkFile(file, { options, policy, warn: () => undefined })
    reports.push(report)
    if (!flags.json) for (const line of linesOf(report)) printLine(line)
  }
  const worst = worstOf(reports.flatMap(({ findings }) => findings))
  if (flags.json) printResult({ success: EXIT_CODES[worst] === 0, severity: worst, files: reports })
  process.exitCode = EXIT_CODES[worst]
}

function linesOf({ path, findings }: FileReport): string[] {
  const widest = Math.max(...findings.map(({ about }) => about.length))
  return [
    path,
    ...findings.map(({ severity, about, text }) => `  ${severity.padEnd(7)}  ${about.padEnd(widest)}  ${text}`),
  ]
}
