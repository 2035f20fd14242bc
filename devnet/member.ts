import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Exit, type Ran, type RunningProcess, run, spawnNode } from './process.ts'
import { PROGRAM_ENV, programPath } from './programs.ts'
import { freePort } from './wait.ts'

export type Role = 'peer' | 'seed' | 'scheduler'

export interface MemberOptions {
  readonly role: Role
  /** Also its host name. */
  readonly name: string
  readonly workhome: string
  readonly schedulerPort?: number | undefined
  readonly settings?: Readonly<Record<string, unknown>> | undefined
  readonly pluginDirs?: readonly string[] | undefined
  /** Added to its environment. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** For the Node that it runs on, such as --cpu-prof. */
  readonly nodeFlags?: readonly string[] | undefined
  /** Words that run it, and each dfget that asks it, elsewhere: `ip netns exec NAME`. */
  readonly within?: readonly string[] | undefined
}

/** What a program of ours says of itself when it can be used. */
export interface Ready {
  readonly socket?: string
  readonly uploadPort?: number
  readonly piecePort?: number
  readonly schedulerPort?: number
}

/** A line of its log. */
export type LogLine = Readonly<Record<string, unknown>>

const PROGRAM = { peer: ['dfdaemon'], seed: ['cdn'], scheduler: ['scheduler'] } as const

/** One process of a devnet: a daemon, a seed or a scheduler. It can be killed, stopped and started again. */
export class Member implements AsyncDisposable {
  readonly role: Role
  readonly name: string
  readonly workhome: string
  readonly #options: MemberOptions
  #process: RunningProcess
  #ready: Ready
  /** Of the processes before this one. */
  #earlierPeakBytes = 0
  #earlierLog = ''

  private constructor(options: MemberOptions, child: RunningProcess) {
    this.role = options.role
    this.name = options.name
    this.workhome = options.workhome
    this.#options = options
    this.#process = child
    this.#ready = readyOf(logLines(child)) ?? {}
  }

  static async start(options: MemberOptions): Promise<Member> {
    return new Member(options, options.role === 'scheduler' ? await launchScheduler(options) : await launch(options))
  }

  get pid(): number {
    return this.#process.pid
  }

  get running(): boolean {
    return this.#process.running
  }

  get exited(): Promise<Exit> {
    return this.#process.exited
  }

  /** Where it listens. */
  get ready(): Ready {
    return this.#ready
  }

  /** Sends a signal; what ends a process is waited for. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.#process.kill(signal)
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await this.#process.exited
  }

  /** Kills it if it still runs, and starts it in the same work home, a scheduler also at the same port. */
  async restart(change: Pick<MemberOptions, 'settings' | 'env'> = {}): Promise<void> {
    await this.kill('SIGKILL')
    this.#earlierPeakBytes = this.rssPeakBytes()
    this.#earlierLog = this.log()
    const { schedulerPort } = this.#ready
    const samePort = this.role === 'scheduler' && schedulerPort !== undefined ? { port: schedulerPort } : {}
    const settings = merge(merge(this.#options.settings ?? {}, samePort), change.settings ?? {})
    this.#process = await launch({ ...this.#options, env: change.env, settings })
    this.#ready = readyOf(logLines(this.#process)) ?? {}
  }

  /** Arguments that make a dfget ask this daemon. */
  get address(): string[] {
    return ['--workhome', this.workhome]
  }

  /** `dfget` with these arguments, asking this daemon, to its end. */
  dfget(args: readonly string[], options: { cwd?: string; timeoutMs?: number } = {}): Promise<Ran> {
    const all = [programPath('dfget'), ...args, ...this.address]
    return run(process.execPath, all, { env: PROGRAM_ENV, within: this.#options.within, ...options })
  }

  /** The same, left running. */
  startDfget(args: readonly string[], options: { cwd?: string } = {}): Promise<RunningProcess> {
    const all = [programPath('dfget'), ...args, ...this.address]
    return spawnNode({ args: all, env: PROGRAM_ENV, within: this.#options.within, ...options })
  }

  /** Its whole log, over all restarts. */
  log(): string {
    return this.#earlierLog + this.#process.stdout() + this.#process.stderr()
  }

  logLines(): LogLine[] {
    return parseLines(this.log())
  }

  /** The most memory it had resident, over all restarts. */
  rssPeakBytes(): number {
    return Math.max(this.#earlierPeakBytes, this.#process.rssPeakBytes())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]()
  }
}

/** At a port that nobody gets while it is down, unless the settings name one. */
async function launchScheduler(options: MemberOptions): Promise<RunningProcess> {
  if (options.settings?.['port'] !== undefined) return launch(options)
  for (let attempt = 1; ; attempt++) {
    const settings = { ...options.settings, port: await freePort() }
    try {
      return await launch({ ...options, settings })
    } catch (error) {
      if (attempt === 5 || !String(error).includes('another process listens there')) throw error
    }
  }
}

async function launch(options: MemberOptions): Promise<RunningProcess> {
  const { role, workhome, pluginDirs = [], nodeFlags = [] } = options
  await mkdir(workhome, { recursive: true })
  const config = join(workhome, 'config.yaml')
  // YAML is a superset of JSON.
  await writeFile(config, JSON.stringify(settingsOf(options), undefined, 2))
  const [program, ...first] = PROGRAM[role]
  const plugins = pluginDirs.flatMap((dir) => ['--plugin-dir', dir])
  return spawnNode({
    args: [
      ...nodeFlags,
      programPath(program),
      ...first,
      '--workhome',
      workhome,
      '--config',
      config,
      '--console',
      ...plugins,
    ],
    within: options.within,
    env: { ...PROGRAM_ENV, ...options.env },
    // Its log has that line as well, on stderr, a moment earlier: who counts lines from here on has to have both.
    readyWhen: ({ stdout }) => readyOf(parseLines(stdout)) !== undefined,
    readyTimeoutMs: 120_000,
  })
}

function settingsOf({ role, name, schedulerPort, settings = {} }: MemberOptions): Readonly<Record<string, unknown>> {
  if (role === 'scheduler') return merge({ listen: '127.0.0.1' }, settings)
  const own = {
    listen: '127.0.0.1',
    host: { ip: '127.0.0.1', hostname: name },
    upload: { port: 0, piecePort: 0 },
    ...(schedulerPort === undefined ? {} : { scheduler: { addrs: [`127.0.0.1:${schedulerPort}`] } }),
  }
  return merge(own, settings)
}

/** `over` counts more, key by key. */
function merge(
  under: Readonly<Record<string, unknown>>,
  over: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const merged: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key]
    merged[key] = isMapping(below) && isMapping(value) ? merge(below, value) : value
  }
  return merged
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function logLines(child: RunningProcess): LogLine[] {
  return parseLines(child.stdout() + child.stderr())
}

function parseLines(text: string): LogLine[] {
  return text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return isMapping(value) ? [value] : []
    } catch {
      return []
    }
  })
}

function readyOf(lines: readonly LogLine[]): Ready | undefined {
  return lines.find((line) => line['msg'] === 'ready')
}
