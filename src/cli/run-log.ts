import { join } from 'node:path'
import { asFailure } from '#core'
import { redactFields, rotatingFile } from '#runtime'
import type { Order } from './order.ts'
import type { Outcome } from './outcome.ts'

const MAX_LOG_BYTES = 10 * 2 ** 20

/**
 * One JSON line per run of `dfget`, in `<logdir>/dfget/dfget.log` or, with `--console`, on stderr. A log that cannot be
 * written fails no download.
 */
export function logRun(order: Order, costMs: number, result: Outcome | Error): void {
  const failure = result instanceof Error ? asFailure(result) : undefined
  const facts = {
    level: failure === undefined ? 'info' : 'error',
    time: new Date().toISOString(),
    name: 'dfget',
    pid: process.pid,
    callsystem: order.callsystem || undefined,
    url: order.url,
    output: order.output ?? '-',
    pattern: order.pattern,
    headers: Object.keys(order.headers).length > 0 ? order.headers : undefined,
    costMs: Math.round(costMs),
    ...(result instanceof Error ? { code: failure?.code, error: result.message } : result),
    cause: order.verbose ? failure?.cause : undefined,
    msg: failure === undefined ? 'downloaded' : 'download failed',
  }
  const line = `${JSON.stringify(redactFields(facts))}\n`
  if (order.console) process.stderr.write(line)
  else append(join(order.directories.logdir, 'dfget', 'dfget.log'), line)
}

function append(path: string, line: string): void {
  try {
    using file = rotatingFile(path, MAX_LOG_BYTES)
    file.write(line)
  } catch {
    // A directory of another user, a full disk: the result was told on the terminal.
  }
}
