import { describe, expect, test } from 'vitest'
import { Failure } from '#core'
import { Buffers } from './buffers.ts'
import { type Content, Sender } from './sender.ts'

type Taken = (error?: Error | null) => void

/** A socket whose other side takes something only when it is told to. */
class SlowSocket {
  readonly written: Uint8Array[] = []
  readonly #callbacks: Taken[] = []
  cork(): void {}
  uncork(): void {}
  write(bytes: unknown, second?: unknown): boolean {
    this.written.push(bytes as Uint8Array)
    if (typeof second === 'function') this.#callbacks.push(second as Taken)
    return false
  }
  take(error?: Error): void {
    this.#callbacks.shift()?.(error)
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function fixture(limit?: { take(bytes: number): Promise<void> }) {
  const socket = new SlowSocket()
  const buffers = new Buffers(10, 2)
  const gone = new AbortController()
  const reads: number[] = []
  const contentOf = (length: number): Content => ({
    length,
    read: (position, target) => {
      reads.push(position)
      target.fill(position)
      return Promise.resolve(target.length)
    },
  })
  return { socket, gone, buffers, reads, contentOf, sender: new Sender({ socket, buffers, limit, gone: gone.signal }) }
}

const prefix = Uint8Array.of(1, 2)

describe('what is sent to a slow child', () => {
  test('is read one buffer ahead, also into the next content', async () => {
    const { socket, reads, contentOf, sender } = fixture()
    const both = sender.send(prefix, contentOf(25)).then(() => sender.send(prefix, contentOf(5)))
    await settled()
    expect(reads).toEqual([0, 10]) // one is on its way, the next is ready
    expect(socket.written.map(({ length }) => length)).toEqual([2, 10])
    socket.take()
    await settled()
    expect(reads).toEqual([0, 10, 20])
    socket.take()
    await settled()
    expect(reads).toEqual([0, 10, 20, 0])
    socket.take()
    await both
    expect(socket.written.map(({ length }) => length)).toEqual([2, 10, 10, 5, 2, 5])
  })

  test('does not pile up, however small it is', async () => {
    const { socket, sender } = fixture()
    const said = [sender.say(prefix)]
    for (let i = 0; i < 9; i++) said.push((said.at(-1) ?? Promise.resolve()).then(() => sender.say(prefix)))
    await settled()
    expect(socket.written).toHaveLength(1)
    expect(sender.onTheWay).toBe(true)
    for (let i = 0; i < 10; i++) {
      socket.take()
      await settled()
    }
    await Promise.all(said)
    expect(socket.written).toHaveLength(10)
    expect(sender.onTheWay).toBe(false)
  })

  test('uses a buffer again only when the kernel has taken it', async () => {
    const { socket, buffers, contentOf, sender } = fixture()
    const sending = sender.send(prefix, contentOf(20))
    await settled()
    let free = false
    const waiting = buffers.take().then((buffer) => {
      free = true
      return buffer
    })
    await settled()
    expect(free).toBe(false)
    socket.take()
    expect(await waiting).toHaveLength(10)
    await sending
  })
})

describe('when it cannot be sent', () => {
  test('the buffers are there for others again', async () => {
    const bad = new Error('bad disk')
    const { socket, gone, buffers, contentOf, sender } = fixture()
    await expect(sender.send(prefix, { length: 5, read: () => Promise.reject(bad) })).rejects.toBe(bad)
    await expect(sender.send(prefix, { length: 5, read: () => Promise.resolve(0) })).rejects.toMatchObject({
      code: 'storage.failed',
    })
    const broken = sender.send(prefix, contentOf(20))
    await settled()
    socket.take(bad)
    await expect(broken).rejects.toBe(bad)
    gone.abort(new Failure('download.cancelled', 'the child went away'))
    await buffers.take()
    await buffers.take()
    expect(buffers.scarce).toBe(false)
  })

  test('nothing more is written once the child went away', async () => {
    const { socket, gone, contentOf, sender } = fixture()
    gone.abort(new Failure('download.cancelled', 'the child went away'))
    await sender.send(prefix, contentOf(5))
    await expect(sender.sent()).rejects.toMatchObject({ code: 'download.cancelled' })
    expect(socket.written).toEqual([])
  })

  test('who waits for the rate keeps no buffer from others', async () => {
    const never = { take: () => new Promise<void>(() => undefined) }
    const { buffers, contentOf, sender } = fixture(never)
    void sender.send(prefix, contentOf(25))
    await settled()
    void buffers.take()
    void buffers.take()
    expect(buffers.scarce).toBe(false)
  })

  test('the rate is asked for before anything is read', async () => {
    const asked: number[] = []
    const { reads, contentOf, sender } = fixture({
      take: (bytes) => {
        asked.push(bytes)
        return new Promise(() => undefined)
      },
    })
    void sender.send(prefix, contentOf(25))
    await settled()
    expect([asked, reads]).toEqual([[10], []])
  })
})
