import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import type { LoadOrder, LoadResult } from './scheduler-load.ts'
import type { ServerQuestion, ServerUsage } from './scheduler-server.ts'

/** A scheduler in a process of its own, on a core of its own where that can be had. */
export interface MeasuredServer extends AsyncDisposable {
  readonly address: string
  usage(question: ServerQuestion): Promise<ServerUsage>
}

/** A process that is as many hosts as it is told to be. */
export interface LoadMaker extends AsyncDisposable {
  obey(order: LoadOrder): Promise<LoadResult>
}

/** Whether the processes can be kept on a core each. */
export const pinned = cpus().length > 1 && spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0

/** `bare`: a server that takes the same calls, and keeps nothing. */
export async function startServer(kind: 'scheduler' | 'bare'): Promise<MeasuredServer> {
  const talk = start('bench/scheduler-server.ts', 0, [kind])
  const { address } = await talk.next<{ address: string }>()
  return {
    address,
    usage: (question) => talk.ask<ServerUsage>(question),
    [Symbol.asyncDispose]: () => talk[Symbol.asyncDispose](),
  }
}

export async function startLoad(): Promise<LoadMaker> {
  const talk = start('bench/scheduler-load.ts', 1, [])
  return {
    obey: (order) => talk.ask<LoadResult>(order),
    [Symbol.asyncDispose]: () => talk[Symbol.asyncDispose](),
  }
}

/** Questions and answers over IPC, one at a time. */
class Talk implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>

  constructor(child: ChildProcess) {
    this.#child = child
    this.#ended = once(child, 'exit')
    this.#ended.catch(() => undefined)
  }

  async ask<T>(question: LoadOrder | ServerQuestion): Promise<T> {
    this.#child.send(question)
    return this.next<T>()
  }

  async next<T>(): Promise<T> {
    const over = new AbortController()
    const ended = this.#ended.then(() => Promise.reject(new Error('a process of the benchmark ended')))
    ended.catch(() => undefined)
    try {
      const [answer] = (await Promise.race([once(this.#child, 'message', { signal: over.signal }), ended])) as [
        T & { readonly error?: string },
      ]
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer
    } finally {
      over.abort()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect()
    await this.#ended
  }
}

function start(file: string, core: number, args: readonly string[]): Talk {
  const node = [process.execPath, '--expose-gc', 'devnet/run.mjs', file, ...args]
  const [command = '', ...rest] = pinned ? ['taskset', '-c', String(core), ...node] : node
  return new Talk(spawn(command, rest, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
}
