import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface UntilOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
  /** Named in the error when the time is over. */
  readonly what?: string
}

/** The first truthy answer of `predicate`, asked again and again. Throws when there was none in time (10 s). */
export async function until<T>(predicate: () => T | Promise<T>, options: UntilOptions = {}): Promise<T> {
  const { timeoutMs = 10_000, everyMs = 20, what = predicate.toString().slice(0, 200) } = options
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await predicate()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`)
    await sleep(everyMs)
  }
}

/** A TCP port that was free a moment ago. Another process may take it first: be ready to try again. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
