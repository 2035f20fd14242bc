import { downloadCommand } from './download-command.ts'
import type { DownloadFlags } from './order.ts'
import { runDownload } from './run-download.ts'
import { runProgram } from './run-program.ts'

/**
 * `dfget URL`, the one command line that is run again and again: bundled with nothing but what it takes to ask a daemon
 * that is up. Resolves to false, with nothing done and nothing printed, for every other one.
 */
export async function shortWay(argv: readonly string[]): Promise<boolean> {
  const asked = understand(argv)
  if (asked === undefined) return false
  await runProgram('dfget', argv, () => runDownload(asked.flags, asked.url))
  return true
}

interface Asked {
  readonly flags: DownloadFlags
  readonly url: string | undefined
}

/** Undefined for a command (or a slip that looks like one), for help, and for what is not understood. */
function understand(argv: readonly string[]): Asked | undefined {
  const asked: Asked[] = []
  const command = downloadCommand((flags, url) => void asked.push({ flags, url }))
  const silent = (): void => {}
  command.exitOverride().configureOutput({ writeOut: silent, writeErr: silent, outputError: silent })
  try {
    command.parse([...argv], { from: 'user' })
  } catch {
    return undefined
  }
  const [found] = asked
  return found === undefined || isWord(found.url) ? undefined : found
}

function isWord(text: string | undefined): boolean {
  return text !== undefined && /^[a-z-]+$/i.test(text)
}
