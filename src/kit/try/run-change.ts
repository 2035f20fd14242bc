import { exec } from 'node:child_process'
import { promisify } from 'node:util'
import { messageOf } from '#core'

const runShell = promisify(exec)
const MOST_OUTPUT_BYTES = 2 ** 20

/** Runs the author's own command, which makes the resource another one. */
export async function runChange(command: string, timeoutMs: number): Promise<void> {
  try {
    await runShell(command, { timeout: timeoutMs, maxBuffer: MOST_OUTPUT_BYTES })
  } catch (error) {
    const { code, stderr = '', killed } = Object(error) as { code?: unknown; stderr?: string; killed?: boolean }
    const how = killed === true ? `did not end within ${timeoutMs / 1000} s` : `ended with ${String(code)}`
    const said = stderr.trim() === '' ? (typeof code === 'number' ? '' : `: ${messageOf(error)}`) : `: ${stderr.trim()}`
    throw new Error(`the command of --change ${how}${said}`, { cause: error })
  }
}
