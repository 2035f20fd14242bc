import type net from 'node:net'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { Buffers } from './buffers.ts'
import { encodeBlocksRequest } from './codec.ts'
import { ServedConnection } from './serve-connection.ts'
import { pieceOf, TASK } from './transfer-fixture.ts'

/** A socket whose other side takes something only when it is told to. */
class SlowSocket extends Duplex {
  #taken: (() => void) | undefined

  override _read(): void {}

  override _writev(_: unknown, taken: () => void): void {
    this.#taken = taken
  }

  accept(): void {
    const taken = this.#taken
    this.#taken = undefined
    taken?.()
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

test('a request that comes while the last answer is still on its way is answered', async () => {
  const socket = new SlowSocket()
  const asked: number[] = []
  const idle = new Set<ServedConnection>()
  const connection = new ServedConnection(socket as unknown as net.Socket, {
    options: {
      listen: { host: '127.0.0.1', port: 0 },
      maxConnections: 1,
      idleTimeoutMs: 1000,
      find: () => Promise.resolve(undefined),
      findBlocks: (_, number) => {
        asked.push(number)
        return Promise.resolve(pieceOf(Buffer.from('content')))
      },
    },
    buffers: new Buffers(100, 2),
    idle,
  })
  const ask = (number: number): boolean =>
    socket.push(encodeBlocksRequest({ taskId: TASK, number, first: 0, count: 1 }))
  ask(1)
  await settled()
  expect(idle.size).toBe(0)
  ask(2)
  await settled()
  socket.accept()
  await settled()
  expect(asked).toEqual([1, 2])
  expect(idle.size).toBe(0)
  socket.accept()
  await settled()
  expect(idle.has(connection)).toBe(true)
  connection.drop()
  await settled()
  expect(idle.size).toBe(0)
})
