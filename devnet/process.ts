import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from './wait.ts'

export interface SpawnOptions {
  /** Program to run; this Node without it. */
  readonly command?: string
  readonly args?: readonly string[]
  /** Words before the command that run it elsewhere and become it (`ip netns exec NAME`): its id stays its own. */
  readonly within?: readonly string[] | undefined
  readonly cwd?: string
  /** Added to the environment of this process; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Ready once this is true of what was printed so far; without it, at once. */
  readonly readyWhen?: (output: { stdout: string; stderr: string }) => boolean
  readonly readyTimeoutMs?: number
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A child process that is killed, and waited for, when it goes out of scope. */
export interface RunningProcess extends AsyncDisposable {
  readonly pid: number
  stdout(): string
  /** Standard output as it came, for bytes that are no text. */
  stdoutBytes(): Buffer
  stderr(): string
  readonly exited: Promise<Exit>
  readonly running: boolean
  /** Sends a signal (SIGTERM); for those that end a process, wait for `exited`. */
  kill(signal?: NodeJS.Signals): void
  /** The most memory it ever had resident, in bytes; of a process that is gone, what was seen last. */
  rssPeakBytes(): number
}

/** Starts a process and waits until it is ready. Throws with its output when it ends before that. */
export async function spawnNode(options: SpawnOptions): Promise<RunningProcess> {
  const { command = process.execPath, args = [], within = [], cwd, env, readyWhen, readyTimeoutMs = 60_000 } = options
  const [first = command, ...words] = [...within, command, ...args]
  const child = spawn(first, words, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const outputs = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
  child.stdout.on('data', (chunk: Buffer) => outputs.stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => outputs.stderr.push(chunk))
  let ended: Exit | undefined
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve((ended = { code, signal })))
  })
  exited.catch(() => undefined)
  const pid = child.pid
  if (pid === undefined) return exited.then(() => Promise.reject(new Error(`${command} did not start`)))

  let peak = 0
  const running: RunningProcess = {
    pid,
    stdout: () => Buffer.concat(outputs.stdout).toString(),
    stdoutBytes: () => Buffer.concat(outputs.stdout),
    stderr: () => Buffer.concat(outputs.stderr).toString(),
    exited,
    get running() {
      return ended === undefined
    },
    kill: (signal = 'SIGTERM') => void (ended === undefined && child.kill(signal)),
    rssPeakBytes: () => (peak = Math.max(peak, rssPeakOf(pid))),
    [Symbol.asyncDispose]: () => stop(running),
  }
  if (readyWhen !== undefined) await ready(running, readyWhen, readyTimeoutMs, [command, ...args].join(' '))
  return running
}

async function ready(
  child: RunningProcess,
  readyWhen: (output: { stdout: string; stderr: string }) => boolean,
  timeoutMs: number,
  name: string,
): Promise<void> {
  const isReady = () => readyWhen({ stdout: child.stdout(), stderr: child.stderr() })
  try {
    await until(() => isReady() || !child.running, { timeoutMs, what: `${name} to be ready` })
    if (!isReady()) throw new Error(`${name} ended before it was ready: ${JSON.stringify(await child.exited)}`)
  } catch (error) {
    await stop(child)
    throw new Error(`${String(error)}\n${child.stdout()}\n${child.stderr()}`, { cause: error })
  }
}

/** A polite SIGTERM, and after three seconds none. A process that was stopped (SIGSTOP) is woken first. */
async function stop(child: RunningProcess): Promise<void> {
  if (!child.running) return
  child.kill('SIGCONT')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 3000)
  await child.exited.catch(() => undefined)
  clearTimeout(timer)
}

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stdoutBytes: Buffer
  readonly stderr: string
  readonly ms: number
  readonly rssPeakBytes: number
}

/** Runs a process to its end. After `timeoutMs` (4 min) it is killed, and the error shows what it had printed. */
export async function run(
  command: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'cwd' | 'env' | 'within'> & { timeoutMs?: number } = {},
): Promise<Ran> {
  const { timeoutMs = 240_000, ...spawnOptions } = options
  const started = performance.now()
  await using child = await spawnNode({ command, args, ...spawnOptions })
  let ms = 0
  const over = child.exited.then(() => void (ms = performance.now() - started))
  // The peak is gone with the process, so it is looked at while it runs.
  const watch = setInterval(() => child.rssPeakBytes(), 25)
  const deadline = new AbortController()
  try {
    await Promise.race([over, sleep(timeoutMs, undefined, { signal: deadline.signal })])
  } finally {
    clearInterval(watch)
    deadline.abort()
  }
  if (child.running) {
    const shown = `${child.stdout().slice(-2000)}\n${child.stderr().slice(-2000)}`
    throw new Error(`${command} ${args.join(' ')} still ran after ${timeoutMs} ms\n${shown}`)
  }
  const exit = await child.exited
  return {
    ...exit,
    stdout: child.stdout(),
    stdoutBytes: child.stdoutBytes(),
    stderr: child.stderr(),
    ms,
    rssPeakBytes: child.rssPeakBytes(),
  }
}

/** The most memory that a process has had, in bytes; 0 where nobody tells. */
export function rssPeakOf(pid: number): number {
  return statusBytes(pid, 'VmHWM')
}

/** The memory that a process has now, in bytes; 0 where nobody tells. */
export function rssOf(pid: number): number {
  return statusBytes(pid, 'VmRSS')
}

function statusBytes(pid: number, key: string): number {
  try {
    const match = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(match?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

/** Ids of living processes whose command line has `text` in it, such as the name of a temporary directory. */
export function processesNaming(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => commandLineOf(pid).includes(text))
    .map(Number)
}

function commandLineOf(pid: string): string {
  try {
    if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return ''
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/** Ends processes that are no children of this one (a daemon that dfget started), and waits until they are gone. */
export async function endProcesses(pids: readonly number[], signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  const alive = () => pids.filter((pid) => sendSignal(pid, 0))
  for (const pid of pids) sendSignal(pid, signal)
  await until(() => alive().length === 0, { timeoutMs: 5000 }).catch(() =>
    alive().forEach((pid) => sendSignal(pid, 'SIGKILL')),
  )
  await until(() => alive().length === 0, { what: `processes ${alive().join(', ')} to end` })
}

function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
