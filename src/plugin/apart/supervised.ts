import { setTimeout as sleep } from 'node:timers/promises'
import { Failure, formatDuration } from '#core'
import { orAbort } from '#source'
import { Call } from './call.ts'
import type { Question } from './messages.ts'
import type { Ending, RunningProcess } from './plugin-process.ts'
import { watchProcess } from './watch-process.ts'

export interface SupervisedOptions {
  /** As messages name the plugin. */
  readonly name: string
  /** A process in which the plugin is open. Fails with a Failure whose message is the bare reason; soon, when aborted. */
  start(signal: AbortSignal): Promise<RunningProcess>
  readonly memoryBytes: number
  readonly hangTimeoutMs: number
  /** Crashes within a minute after which the plugin is left alone, and for how long. */
  readonly crashes: number
  readonly coolDownMs: number
  readonly warn: (message: string) => void
  onStart(restart: boolean): void
  onEnd(): void
}

const CRASH_WINDOW_MS = 60_000
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000

/**
 * A plugin's process that is there again when it is next asked, however it ended: with a growing pause after each
 * crash, and for a while not at all after too many (every call then fails at once with `plugin.down`).
 */
export class Supervised implements AsyncDisposable {
  readonly #options: SupervisedOptions
  #running: RunningProcess | undefined
  #starting: Promise<RunningProcess> | undefined
  /** When the last crashes were, and what the last one was. */
  #crashedAt: number[] = []
  #lastCrash = ''
  #leftAloneUntil = 0
  #closed = false
  /** Aborted when it is let go of while it starts. */
  readonly #closing = new AbortController()
  #calls = 0
  #idleSince = performance.now()

  constructor(options: SupervisedOptions) {
    this.#options = options
  }

  /** Starts the first process: here a failure is no crash, but a plugin that does not work. */
  async open(): Promise<void> {
    this.#starting = this.#start(false).finally(() => (this.#starting = undefined))
    await this.#starting
  }

  /** How long nobody has asked it anything, in milliseconds; 0 while a call is under way. */
  get idleMs(): number {
    return this.#calls > 0 ? 0 : performance.now() - this.#idleSince
  }

  get pid(): number | undefined {
    return this.#running?.pid
  }

  /** Puts one question; the plugin is busy until the call is closed. Fails with `plugin.down`, `plugin.crashed` … */
  async ask(question: Question, signal: AbortSignal): Promise<Call> {
    this.#calls++
    const onClose = (): void => {
      this.#idleSince = performance.now()
      this.#calls--
    }
    try {
      signal.throwIfAborted()
      return new Call(await orAbort(this.#process(), signal), question, { signal, onClose })
    } catch (error) {
      onClose()
      throw signal.aborted ? signal.reason : error
    }
  }

  async #process(): Promise<RunningProcess> {
    for (let running = this.#running; running !== undefined; running = this.#running) {
      if (running.ending === undefined) return running
      await running.ended // so that its crash counts before another one is started
    }
    this.#throwIfClosed()
    const leftMs = this.#leftAloneUntil - performance.now()
    if (leftMs > 0) throw this.#isDown(leftMs)
    this.#starting ??= this.#restart().finally(() => (this.#starting = undefined))
    return this.#starting
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new Failure('plugin.crashed', 'it was let go of')
  }

  #isDown(leftMs: number): Failure {
    const times = `${this.#crashedAt.length} times within a minute`
    const wait = formatDuration(Math.ceil(leftMs / 1000) * 1000)
    return new Failure('plugin.down', `it crashed ${times} (${this.#lastCrash}) and is left alone for another ${wait}`)
  }

  async #restart(): Promise<RunningProcess> {
    const crashes = this.#crashedAt.length
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (crashes - 1), LONGEST_PAUSE_MS)
    const leftMs = (this.#crashedAt.at(-1) ?? 0) + pauseMs - performance.now()
    // Who is let go of in the meantime hears it from #start.
    if (leftMs > 0) await sleep(leftMs, undefined, { signal: this.#closing.signal }).catch(() => undefined)
    try {
      return await this.#start(true)
    } catch (error) {
      const what = error instanceof Failure ? error.message : String(error)
      if (!this.#closed) this.#noteCrash({ code: 'plugin.crashed', what })
      throw error
    }
  }

  async #start(restart: boolean): Promise<RunningProcess> {
    this.#throwIfClosed()
    return this.#adopt(await this.#options.start(this.#closing.signal), restart)
  }

  #adopt(plugin: RunningProcess, restart: boolean): RunningProcess {
    this.#running = plugin
    this.#options.onStart(restart)
    const { memoryBytes, hangTimeoutMs } = this.#options
    watchProcess(plugin, { memoryBytes, hangTimeoutMs }, () => this.#calls > 0)
    void plugin.ended.then((ending) => {
      this.#options.onEnd()
      if (this.#running === plugin) this.#running = undefined
      if (!this.#closed) this.#noteCrash(ending)
    })
    return plugin
  }

  #noteCrash({ what }: Ending): void {
    const now = performance.now()
    this.#lastCrash = what
    this.#crashedAt = [...this.#crashedAt.filter((at) => at > now - CRASH_WINDOW_MS), now]
    const { crashes, coolDownMs, name, warn } = this.#options
    const tooOften = this.#crashedAt.length >= crashes
    if (tooOften) this.#leftAloneUntil = now + coolDownMs
    const next = tooOften
      ? `it is left alone for ${formatDuration(coolDownMs)}`
      : 'it is started anew when it is needed'
    warn(`${name}: ${what}; ${next}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    if (this.#starting !== undefined) this.#closing.abort()
    await this.#starting?.catch(() => undefined)
    await this.#running?.close()
  }
}
