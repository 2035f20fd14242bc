import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import process from 'node:process'
import { messageOf } from '#core'
import { serveCall } from './serve-call.ts'

/** Where the host waits for one byte: that this process can be asked. */
const READY_FD = 3

/**
 * The process of one plugin: `plugin-child SOCKET NAME`. It listens on the socket until its host goes away, which it
 * notices by the end of its stdin. What the plugin does wrong beside its calls is told on stderr, and stops nothing.
 */
async function main(): Promise<void> {
  const [socket = ''] = process.argv.slice(2)
  process.stdin.on('end', leave).on('error', leave).resume()
  process.on('uncaughtException', tellStray)
  process.on('unhandledRejection', tellStray)
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    tidyWhenIdle(connection)
    serveCall(connection)
  })
  server.listen(socket)
  await once(server, 'listening').catch(leaveWith)
  writeSync(READY_FD, '.')
}

const IDLE_MS = 2000
/** Present by --expose-gc; a plugin need not find it. */
const collect = globalThis.gc
Reflect.deleteProperty(globalThis, 'gc')
let calls = 0

/** Gives memory back when there is nothing to do: left to itself, Node would keep the garbage of the last body. */
function tidyWhenIdle(connection: Socket): void {
  calls++
  clearTimeout(tidying)
  connection.once('close', () => {
    calls--
    if (calls === 0) tidying = setTimeout(tidy, IDLE_MS).unref()
  })
}

let tidying: NodeJS.Timeout | undefined

/** What was freed by the first round leaves its pages by the second. */
function tidy(): void {
  collect?.()
  collect?.()
}

/** Taken before a plugin can put something else in its place. */
const exit = process.exit.bind(process)

function leaveWith(error: unknown): void {
  tellStray(error)
  exit(1)
}

function leave(): void {
  exit(0)
}

function tellStray(error: unknown): void {
  try {
    const [, where = ''] = (error instanceof Error ? error.stack : undefined)?.split('\n    at ') ?? []
    const text = `${messageOf(error)}${where === '' ? '' : ` (at ${where})`}`
    writeSync(2, `something failed beside its calls: ${text.slice(0, 4096)}\n`)
  } catch {
    // An error that cannot even be told.
  }
}

await main()
