import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Ending } from './plugin-process.ts'

export interface TestChild {
  readonly socket: string
  readonly pid: number
  readonly ended: Promise<Ending>
  ending: Ending | undefined
  /** Connections that were made, and how many of them are open. */
  readonly made: number
  readonly open: number
  kill(ending: Ending): void
  close(): Promise<void>
}

/** What a host takes for a plugin's process; `serve` says what it does to who connects. */
export async function testChild(serve: (socket: Socket) => void = () => undefined): Promise<TestChild> {
  const dir = await mkdtemp(join(tmpdir(), 'dragonfly-test-child-'))
  const sockets = new Set<Socket>()
  let made = 0
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    made++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('end', () => socket.destroy())
    socket.resume()
    serve(socket)
  })
  let tellEnd: (ending: Ending) => void = () => undefined
  const ended = new Promise<Ending>((resolve) => (tellEnd = resolve))
  const kill = (ending: Ending): void => {
    child.ending ??= ending
    for (const socket of sockets) socket.destroy()
    server.close()
    tellEnd(child.ending)
  }
  const child: TestChild = {
    socket: join(dir, 's'),
    pid: process.pid,
    ended,
    ending: undefined,
    get made() {
      return made
    },
    get open() {
      return sockets.size
    },
    kill,
    close: async () => kill({ code: 'plugin.crashed', what: 'it was let go of' }),
  }
  await new Promise<void>((resolve) => server.listen(child.socket, resolve))
  onTestFinished(async () => {
    await child.close()
    await rm(dir, { recursive: true, force: true })
  })
  return child
}
