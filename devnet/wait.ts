import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface UntilOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
  /** Named in the error when the time is over. */
  readonly what?: string
}

/**
 * The first truthy answer of `predicate`, asked again and again. Throws when there was none in time (60 s): that is no
 * measure of speed, only an end for what will never come, on a machine that is busy with other things too.
 */
export async function until<T>(predicate: () => T | Promise<T>, options: UntilOptions = {}): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 20, what = predicate.toString().slice(0, 200) } = options
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await predicate()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`)
    await sleep(everyMs)
  }
}

/** Below the ports that the kernel gives to those who ask for any (32768 and above on Linux). */
const FIRST_PORT = 20_000
const PORTS = 12_000
/** Processes that follow one another begin this far apart. */
const STEP = 251
let next = process.pid * STEP

/**
 * A TCP port that is free, and stays so: the kernel gives it to nobody, and this asks for each only once per process.
 * All the same another process may have an eye on it: be ready to try again.
 */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < PORTS; tries++) {
    const port = FIRST_PORT + (next++ % PORTS)
    if (await isFree(port, host)) return port
  }
  throw new Error(`no port from ${FIRST_PORT} to ${FIRST_PORT + PORTS} is free`)
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
