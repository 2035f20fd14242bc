import type { Socket } from 'node:net'

/**
 * Writes chunks as one, and resolves when the kernel has them all: a plugin may use its memory again for the next
 * chunk, and does not run ahead of a host that is slow.
 */
export function writeAll(socket: Socket, chunks: readonly Uint8Array[]): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(new Error('nobody listens any more'))
    const last = chunks.length - 1
    const done = (error?: Error | null): void => (error ? reject(error) : resolve())
    socket.cork()
    chunks.forEach((chunk, at) => (at === last ? socket.write(chunk, done) : socket.write(chunk)))
    socket.uncork()
  })
}
