import { readFileSync } from 'node:fs'
import { type AnnouncePeerResponse, implement, schedulerService, serveGrpc } from '#api'
import { resolveSettings } from '#core'
import { silentLog } from '#runtime'
import { schedulerSettings, startScheduler } from '#scheduler'

/** What the process of a scheduler has used. */
export interface ServerUsage {
  /** Microseconds of all its threads. */
  readonly cpuMicros: number
  /** Times that it read from a socket (or a file). */
  readonly reads: number
  /** Of JavaScript, and of buffers outside of V8's heap. */
  readonly heapBytes: number
  readonly residentBytes: number
}

export type ServerQuestion = 'cpu' | 'memory'

type Bare = AsyncIterableIterator<AnnouncePeerResponse, undefined>

/**
 * The process that is measured: a scheduler and nothing else, or, told `bare`, a server that takes the same calls and
 * keeps nothing. It says by IPC what it has used. Run with --expose-gc.
 */
const { address } = process.argv[2] === 'bare' ? await startBare() : await start()
process.send?.({ address })
process.on('message', (question: ServerQuestion) => {
  void usage(question).then((answer) => process.send?.(answer))
})
process.on('disconnect', () => process.exit())

function start(): Promise<{ address: string }> {
  const settings = resolveSettings(schedulerSettings, [{ port: 0, maxHosts: 20_000 }])
  return startScheduler({ settings, log: silentLog })
}

function startBare(): Promise<{ address: string }> {
  const handlers = implement(schedulerService, {
    announceHost: () => ({}),
    announcePeer: (requests, { signal }) => bareTalk(requests, signal),
  })
  const limits = { connections: 20_000, callsPerConnection: 10_000, calls: 100_000 }
  return serveGrpc({ services: [handlers], listen: { host: '127.0.0.1', port: 0 }, limits, drainMs: 0 })
}

/** Answers the first message, and takes all others. */
function bareTalk(requests: AsyncIterable<unknown>, signal: AbortSignal): Bare {
  const messages = requests[Symbol.asyncIterator]()
  const drink = (): void =>
    void messages.next().then(
      ({ done }) => done || drink(),
      () => undefined,
    )
  let answered = false
  const talk: Bare = {
    async next() {
      if (answered) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        return { done: true, value: undefined }
      }
      answered = true
      await messages.next()
      drink()
      return { done: false, value: { response: { $case: 'needBackToSourceResponse', value: {} } } }
    },
    [Symbol.asyncIterator]: () => talk,
  }
  return talk
}

const LOOK_MS = 20
const IDLE_MICROS = 500

/** When it has done what it was told to do. */
async function idle(): Promise<void> {
  for (let before = cpuMicros(), quiet = 0; quiet < 3; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    const now = cpuMicros()
    quiet = now - before < IDLE_MICROS ? quiet + 1 : 0
    before = now
  }
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

async function usage(question: ServerQuestion): Promise<ServerUsage> {
  for (let round = 0; question === 'memory' && round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  if (question === 'cpu') await idle()
  const { heapUsed, external, rss } = process.memoryUsage()
  const reads = Number(/syscr: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
  return { cpuMicros: cpuMicros(), reads, heapBytes: heapUsed + external, residentBytes: rss }
}
