import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Failure, messageOf } from '#core'
import { Guard } from './guard.ts'
import { Prints } from './prints.ts'

export interface ProcessOptions {
  /** As messages name the plugin. */
  readonly name: string
  /** Flags for Node before the program: permissions. */
  readonly execArgv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly memoryBytes: number
  readonly print: (line: string) => void
  /** Secrets that the plugin is given, out of what it prints. */
  readonly scrub: (text: string) => string
  /** Nobody waits for the process any more: it is ended, however far its plugin has come with loading. */
  readonly signal?: AbortSignal | undefined
}

/** Why a process is no more: what befell it, in words that follow the plugin's name. */
export interface Ending {
  readonly code: 'plugin.crashed' | 'plugin.hung'
  readonly what: string
}

const READY_FD = 3
/** Until a process can be asked, none of the plugin's code was run: what takes long then is the machine. */
const READY_MS = 60_000
/** For what a process printed just before its end. */
const LAST_WORDS_MS = 1000
/** A plugin's own threads for files and look-ups; Node's four cost memory that most plugins never use. */
const POOL_THREADS = '4'

/** The shortest limit there is (macOS: 103), less what stands behind it: /dragonfly-plugin-XXXXXX/s */
const LONGEST_PLACE_BYTES = 103 - 26

/** Room for young objects. Node's own 16 MiB stay taken after the first body that came in many small chunks. */
const YOUNG_MIB = 1

/** The program that runs plugins. Sources that a test runner runs as they are use the built one. */
export const CHILD_FILE = fileURLToPath(
  import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/plugin-child.mjs', import.meta.url)
    : new URL('./plugin-child.mjs', import.meta.url),
)

const guard = new Guard()
const alive = new Set<PluginProcess>()
process.on('exit', () => alive.forEach((plugin) => plugin.kill({ code: 'plugin.crashed', what: 'its host ended' })))

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** A process as those see it who ask it, watch it, end it. */
export type RunningProcess = Pick<PluginProcess, 'socket' | 'pid' | 'ended' | 'ending' | 'kill' | 'close'>

/** One process with one plugin in it. It is asked over `socket`, and ends with its host. */
export class PluginProcess {
  readonly socket: string
  readonly pid: number
  /** Resolves when the process is gone. */
  readonly ended: Promise<Ending>
  readonly #child: Child
  #ending: Ending | undefined

  private constructor(child: Child, pid: number, dir: string) {
    this.socket = join(dir, 's')
    this.pid = pid
    this.#child = child
    this.ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve(this.#gone(dir, code, signal))))
    alive.add(this)
    guard.watch(pid, dir)
  }

  /** Why the process ended, or is about to. */
  get ending(): Ending | undefined {
    return this.#ending
  }

  /** Ends the process at once, whatever it is at. */
  kill(ending: Ending): void {
    this.#ending ??= ending
    if (alive.has(this)) this.#end()
  }

  #gone(dir: string, code: number | null, signal: NodeJS.Signals | null): Ending {
    alive.delete(this)
    guard.forget(this.pid)
    killGroup(this.pid)
    rmSync(dir, { recursive: true, force: true })
    // A program that left the group may hold on to the output, and would keep the host from ending.
    const { stdout, stderr } = this.#child
    setTimeout(() => [stdout, stderr].forEach((stream) => stream.destroy()), LAST_WORDS_MS).unref()
    this.#ending ??= { code: 'plugin.crashed', what: `its process ended (${signal ?? `exit code ${code}`})` }
    return this.#ending
  }

  #end(): void {
    if (!killGroup(this.pid)) this.#child.kill('SIGKILL')
  }

  /** Lets the process end by itself; one that does not is killed. */
  async close(graceMs = 1000): Promise<void> {
    this.#ending ??= { code: 'plugin.crashed', what: 'it was let go of' }
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#end(), graceMs)
    await this.ended
    clearTimeout(timer)
  }

  /** Starts the process and waits until it can be asked. Fails with `plugin.crashed` or `plugin.hung`. */
  static async start(options: ProcessOptions): Promise<PluginProcess> {
    if (!existsSync(CHILD_FILE)) throw new Failure('internal', `${CHILD_FILE} is missing: build it first`)
    const { child, pid, dir } = await spawnChild(options)
    const started = new PluginProcess(child, pid, dir)
    volunteerForOom(pid)
    const prints = new Prints(options.print, options.scrub)
    prints.follow(child.stdout)
    prints.follow(child.stderr)
    started.#endWith(options.signal)
    await started.#untilReady()
    return started
  }

  #endWith(signal: AbortSignal | undefined): void {
    const end = (): void => this.kill({ code: 'plugin.crashed', what: 'its host ends' })
    if (signal?.aborted === true) end()
    signal?.addEventListener('abort', end, { once: true })
    void this.ended.then(() => signal?.removeEventListener('abort', end))
  }

  async #untilReady(): Promise<void> {
    const ready = this.#child.stdio[READY_FD] as Readable
    const byte = new Promise<boolean>((resolve) => ready.once('data', () => resolve(true)))
    const late: Ending = { code: 'plugin.hung', what: `its process was not ready within ${READY_MS / 1000} s` }
    const timer = setTimeout(() => this.kill(late), READY_MS)
    const isReady = await Promise.race([byte, this.ended.then(() => false)])
    clearTimeout(timer)
    ready.destroy()
    if (isReady && this.#ending === undefined) return
    const { code, what } = await this.ended
    throw new Failure(code, what)
  }
}

interface Spawned {
  readonly child: Child
  readonly pid: number
  /** Its own, for its socket. */
  readonly dir: string
}

/** Fails with `plugin.crashed`: what is at fault is the machine, which may have room again later. */
async function spawnChild(options: ProcessOptions): Promise<Spawned> {
  let dir: string | undefined
  try {
    dir = privateDir()
    const child = spawnIn(dir, options)
    for (const stream of [child, ...child.stdio]) stream?.on('error', () => undefined)
    const { pid } = child
    if (pid === undefined) {
      const [error] = (await once(child, 'error')) as [unknown]
      throw error
    }
    return { child, pid, dir }
  } catch (error) {
    if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
    throw new Failure('plugin.crashed', `its process cannot be started: ${messageOf(error)}`, { cause: error })
  }
}

/** The path of a socket has room for a hundred characters or so, whatever the system's own directory is called. */
function privateDir(): string {
  const place = resolve(tmpdir())
  const fits = Buffer.byteLength(place) <= LONGEST_PLACE_BYTES
  return mkdtempSync(join(fits ? place : '/tmp', 'dragonfly-plugin-'))
}

/** The programs that a plugin may have started go with it, however it ends: it leads a group of its own. */
function killGroup(pid: number): boolean {
  try {
    return process.kill(-pid, 'SIGKILL')
  } catch {
    return false
  }
}

/** A session of its own: what a terminal sends to its foreground (Ctrl-C) is for the host alone. */
function spawnIn(dir: string, { name, execArgv, env, memoryBytes }: ProcessOptions): Child {
  const heapMiB = Math.max(16, Math.floor(memoryBytes / 2 ** 20))
  const heap = [`--max-old-space-size=${heapMiB}`, `--max-semi-space-size=${YOUNG_MIB}`, '--expose-gc']
  const args = [...execArgv, ...heap, CHILD_FILE, join(dir, 's'), name]
  return spawn(process.execPath, args, {
    cwd: dir,
    detached: true,
    env: { UV_THREADPOOL_SIZE: POOL_THREADS, ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  })
}

/** When the machine runs out of memory, a plugin goes before anything else. Linux only; a wish, no more. */
function volunteerForOom(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, '1000')
  } catch {
    // There is no such thing here.
  }
}
