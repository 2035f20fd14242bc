import { lstat, unlink } from 'node:fs/promises'
import net from 'node:net'
import { Failure, messageOf } from '#core'

/** Where a server listens. `mode` is that of the socket file; 0600 when not given. */
export type Address =
  | { readonly host: string; readonly port: number }
  | { readonly path: string; readonly mode?: number }

/** sockaddr_un has room for so many bytes; a longer path would be cut without a word. */
const MAX_SOCKET_PATH_BYTES = 107

/** Removes the socket file of a server that died. One that still answers is left alone: `config.invalid`. */
export async function freeStaleSocket(address: Address): Promise<void> {
  if (!('path' in address)) return
  if (Buffer.byteLength(address.path) > MAX_SOCKET_PATH_BYTES)
    throw cannotListen(address, `the path of a socket has at most ${MAX_SOCKET_PATH_BYTES} bytes`)
  const file = await lstat(address.path).catch(() => undefined)
  if (file === undefined) return
  if (!file.isSocket()) throw cannotListen(address, 'there is a file of that name that is no socket')
  if (await answers(address.path)) throw cannotListen(address, 'another process listens there')
  await unlink(address.path).catch(() => undefined)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(path)
    socket.once('connect', () => resolve(true))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
    socket.once('connect', () => socket.destroy())
  })
}

/** Starts listening. A socket file has its mode from its first moment on. */
export function listenOn(server: net.Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(cannotListen(address, messageOf(error), error))
    server.once('error', failed)
    server.once('listening', () => {
      server.off('error', failed)
      resolve()
    })
    if (!('path' in address)) {
      server.listen({ host: address.host, port: address.port })
      return
    }
    const before = process.umask(0o777 & ~(address.mode ?? 0o600))
    try {
      server.listen({ path: address.path })
    } finally {
      process.umask(before)
    }
  })
}

/** Whether a server cannot listen because another process does so at the same port. */
export function isPortTaken(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error
  return cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE'
}

function cannotListen(address: Address, why: string, cause?: unknown): Failure {
  const where = 'path' in address ? address.path : `${address.host}:${address.port}`
  return new Failure('config.invalid', `cannot listen on ${where}: ${why}`, { cause })
}
