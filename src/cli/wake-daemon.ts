import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, makeDirs, messageOf } from '#core'
import { type Directories, lockFile } from '#runtime'
import type { PluginFlags } from './plugin-flags.ts'

export interface WakeOptions {
  readonly directories: Directories
  /** Program and first arguments that `daemon …` is put behind. */
  readonly command: readonly [program: string, ...args: string[]]
  readonly schedulers: readonly string[]
  readonly pluginDirs: readonly string[]
  readonly plugins: PluginFlags
  readonly config: string | undefined
  readonly verbose: boolean
  /** Whether a daemon answers on the socket. */
  isUp(): Promise<boolean>
  readonly waitMs?: number
}

const WAIT_MS = 10_000
const POLL_MS = 25
const MAX_TOLD_BYTES = 2000

/**
 * Sees to it that a daemon runs: of many callers at once one starts it, the others wait. Says whether this call started
 * it. Fails with `daemon.unavailable`, and names the log, when none answers in time.
 */
export async function wakeDaemon(options: WakeOptions, signal: AbortSignal): Promise<'started' | 'was up'> {
  const { workhome } = options.directories
  const waitMs = options.waitMs ?? WAIT_MS
  using lock = await takeLock(join(workhome, 'dfget.lock'), 2 * waitMs, signal)
  if (lock === undefined) {
    throw new Failure('daemon.unavailable', `another dfget has been starting a daemon in ${workhome} for too long`)
  }
  if (await options.isUp()) return 'was up'
  const environment = await daemonEnvironment(options.plugins)
  const log = join(options.directories.logdir, 'daemon', 'stderr.log')
  const logged = sizeOf(log)
  const unhealthy = (what: string): Failure => {
    const said = wordsFrom(log, logged)
    return new Failure('daemon.unavailable', `${what}; its log is ${log}${said === '' ? '' : `: ${said}`}`)
  }
  const daemon = start(options, environment)
  const giveUpAt = performance.now() + waitMs
  while (!(await options.isUp())) {
    if (daemon.ended !== undefined) throw unhealthy(`the daemon ended at once (${daemon.ended})`)
    if (performance.now() > giveUpAt) throw unhealthy(`the daemon does not answer after ${waitMs} ms`)
    await sleep(POLL_MS, undefined, { signal })
  }
  return 'started'
}

async function takeLock(path: string, waitMs: number, signal: AbortSignal): ReturnType<typeof lockFile> {
  try {
    return await lockFile(path, { waitMs, signal })
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new Failure('daemon.unavailable', `cannot lock ${path} to start a daemon: ${messageOf(cause)}`, { cause })
  }
}

/** The daemon outlives this process: a session of its own, its output in files. */
function start(options: WakeOptions, env: NodeJS.ProcessEnv): { readonly ended: string | undefined } {
  const { workhome } = options.directories
  const [program, ...first] = options.command
  const output = openLog(options, 'stdout.log')
  const errors = openLog(options, 'stderr.log')
  try {
    const child = spawn(program, [...first, 'daemon', ...daemonArguments(options)], {
      cwd: workhome,
      detached: true,
      stdio: ['ignore', output, errors],
      env,
    })
    const state: { ended: string | undefined } = { ended: undefined }
    child.once('error', (error) => (state.ended = error.message))
    child.once('exit', (code, killer) => (state.ended = killer ?? `exit code ${code}`))
    child.unref()
    return state
  } finally {
    closeSync(output)
    closeSync(errors)
  }
}

/** Options of plugins go this way: what stands on a command line can be read by everyone as long as the daemon runs. */
async function daemonEnvironment({ pluginOption }: PluginFlags): Promise<NodeJS.ProcessEnv> {
  const environment = { ...process.env, DRAGONFLY_BUILD: 'skip' }
  if (pluginOption.length === 0) return environment
  const { givenPlugins, PLUGINS_VARIABLE } = await import('./plugin-layers.ts')
  const { options } = givenPlugins({ pluginOption, pluginGrant: [] }, process.env)
  return { ...environment, [PLUGINS_VARIABLE]: JSON.stringify(options) }
}

function daemonArguments(options: WakeOptions): string[] {
  const { workhome, logdir } = options.directories
  return [
    `--workhome=${workhome}`,
    `--logdir=${logdir}`,
    `--launcher=${process.pid}`,
    ...options.pluginDirs.map((path) => `--plugin-dir=${path}`),
    ...options.plugins.pluginGrant.map((grant) => `--plugin-grant=${grant}`),
    ...options.schedulers.map((address) => `--scheduler=${address}`),
    ...(options.config === undefined ? [] : [`--config=${options.config}`]),
    ...(options.verbose ? ['--verbose'] : []),
  ]
}

function openLog(options: WakeOptions, name: string): number {
  const directory = join(options.directories.logdir, 'daemon')
  try {
    makeDirs(directory, mkdirSync)
    return openSync(join(directory, name), 'a', 0o640)
  } catch (cause) {
    const message = `cannot write the logs of a daemon to ${directory}: ${messageOf(cause)}`
    throw new Failure('daemon.unavailable', message, { cause })
  }
}

/** 0 also for what cannot be looked at: opening it says why. */
function sizeOf(log: string): number {
  try {
    return statSync(log).size
  } catch {
    return 0
  }
}

/** What stands in a log behind its first `offset` bytes. */
function wordsFrom(log: string, offset: number): string {
  try {
    return readFileSync(log).subarray(offset).toString().trim().slice(-MAX_TOLD_BYTES)
  } catch {
    return ''
  }
}
