import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { asFailure, Failure, formatDuration, makeDirs, messageOf } from '#core'
import { directories, untilStopped } from '#runtime'
import { type DownloadFlags, type Order, readOrder } from './order.ts'
import type { Outcome } from './outcome.ts'
import { keepStdout, printLine, printResult } from './own-stdout.ts'
import { openBar, openLines, ProgressWatcher } from './progress.ts'
import { causesOf } from './report-failure.ts'
import { failureLine, openingLines, successLines } from './result-lines.ts'
import { logRun } from './run-log.ts'
import { StdoutBytes } from './stdout-bytes.ts'
import { throughDaemon } from './through-daemon.ts'

const LONGEST_TIMER_MS = 2 ** 31 - 1

/** `dfget URL -O FILE`, top to bottom: understand, announce, bring, tell. */
export async function runDownload(flags: DownloadFlags, positional: string | undefined): Promise<void> {
  await checkPluginFlags(flags)
  const order = readOrder(flags, positional, process.cwd(), directories(flags))
  const voice = voiceOf(order)
  const startedAt = performance.now()
  const costMs = (): number => performance.now() - startedAt
  for (const warning of order.warnings) warn(warning)
  try {
    makeDirectory(order)
    openingLines(order, new Date()).forEach(voice.line)
    const outcome = await watched(order, voice)
    successLines(outcome, costMs()).forEach(voice.line)
    voice.result({ success: true, ...outcome, costMs: Math.round(costMs()) })
    logRun(order, costMs(), outcome)
  } catch (error) {
    const failure = asFailure(error)
    const { code, message, exit } = failure
    if (code !== 'output.closed') voice.line(failureLine(failure, costMs()))
    voice.result({ success: false, code, message, exit, costMs: Math.round(costMs()) })
    logRun(order, costMs(), failure)
    throw failure
  }
}

/** Slips are told before anything is done, whoever will obey. */
async function checkPluginFlags(flags: DownloadFlags): Promise<void> {
  if (flags.pluginOption.length + flags.pluginGrant.length === 0) return
  const { givenPlugins } = await import('./plugin-layers.ts')
  givenPlugins(flags, {})
}

/** Brings the file while somebody looks on, within the time there is. */
async function watched(order: Order, voice: Voice): Promise<Outcome> {
  using limit = timeLimit(order.timeoutMs)
  using watcher = watch(order)
  try {
    return await bring(order, voice, watcher, limit.signal)
  } catch (error) {
    throw limit.signal.aborted ? limit.signal.reason : error
  }
}

/** The daemon brings the file; where there is none to be had, this process reads the origin itself. */
async function bring(order: Order, voice: Voice, onlooker: ProgressWatcher, signal: AbortSignal): Promise<Outcome> {
  const stdout = new StdoutBytes()
  const write = (bytes: Uint8Array): Promise<void> => stdout.write(bytes)
  if (order.pattern !== 'source' && new URL(order.url).protocol !== 'file:') {
    try {
      return await throughDaemon(order, { onlooker, write, warn }, signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof Failure) || error.code !== 'daemon.unavailable') throw error
      voice.note(`daemon downloads file error: ${[error.message, ...causesOf(error)].join(': ')}`)
      refuseFallback(order, stdout.written, error)
      voice.note('try to download from source and ignore rate limit')
    }
  }
  keepStdout() // a plugin may be loaded from here on
  const { withoutDaemon } = await import('./without-daemon.ts')
  return withoutDaemon(order, { onlooker, write }, signal)
}

function refuseFallback(order: Order, writtenBytes: number, cause: Failure): void {
  if (order.disableBackSource) {
    const message = 'no daemon could be asked, and --disable-back-source forbids to read the origin'
    throw new Failure('download.no_source', message, { cause })
  }
  if (writtenBytes > 0) {
    const message = `the daemon went away when ${writtenBytes} bytes were on stdout already: they cannot be taken back`
    throw new Failure('daemon.unavailable', message, { cause })
  }
}

/** Aborted by the time limit, or by who runs this. */
function timeLimit(timeoutMs: number): { readonly signal: AbortSignal } & Disposable {
  const limit = new AbortController()
  const failure = new Failure('download.timeout', `download timeout(${formatDuration(timeoutMs)})`)
  const timer =
    timeoutMs === 0 ? undefined : setTimeout(() => limit.abort(failure), Math.min(timeoutMs, LONGEST_TIMER_MS))
  return {
    signal: AbortSignal.any([limit.signal, untilStopped()]),
    [Symbol.dispose]: () => clearTimeout(timer),
  }
}

/** The missing directories above the output, made as the user who asked. */
function makeDirectory({ output }: Order): void {
  if (output === undefined) return
  try {
    makeDirs(dirname(output), mkdirSync)
  } catch (cause) {
    throw new Failure('output.invalid', `cannot make the directory of ${output}: ${messageOf(cause)}`, { cause })
  }
}

function watch(order: Order): ProgressWatcher {
  const terminal = process.stderr.isTTY
  if (!(order.showProgress ?? (terminal && !order.json)) || order.console) return new ProgressWatcher()
  if (terminal) return new ProgressWatcher({ firstMs: 200, everyMs: 100, display: openBar(process.stderr) })
  const write = (line: string): void => void process.stderr.write(line)
  return new ProgressWatcher({ firstMs: 1000, everyMs: 3000, display: openLines(write) })
}

function warn(text: string): void {
  process.stderr.write(`dfget: warning: ${text}\n`)
}

/** Where the lines of a run go: stdout stays clean for a file or a result that is written there. */
interface Voice {
  readonly line: (text: string) => void
  readonly note: (text: string) => void
  readonly result: (facts: Readonly<Record<string, unknown>>) => void
}

function voiceOf(order: Order): Voice {
  const stderr = (text: string): void => void process.stderr.write(`${text}\n`)
  const { url, output } = order
  if (order.json) return { line: () => {}, note: stderr, result: (facts) => printResult({ url, output, ...facts }) }
  const line = output === undefined ? stderr : printLine
  return { line, note: line, result: () => {} }
}
