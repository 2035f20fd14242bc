import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { BlockConnections } from './block-connections.ts'
import { encodeBlocksHeader } from './codec.ts'
import { openBlocks } from './dialled-blocks.ts'
import { answerOf, askFor, atEnd, cleanUp, rawBlockParent, serveBlocks } from './transfer-fixture.ts'

afterEach(cleanUp)

const times = { connectTimeoutMs: 5000, timeoutMs: 10_000, silentMs: 5000 }
const handlers = { onSilent: () => undefined, onBroken: () => undefined }
const content = randomBytes(13)

function pool(options: { keepMs?: number } = {}): BlockConnections {
  const connections = new BlockConnections({ ...times, ...options })
  atEnd(() => connections[Symbol.asyncDispose]())
  return connections
}

/** A parent of ours, and how many different connections asked it. */
async function countingParent(): Promise<{ port: number; peers: Set<string> }> {
  const peers = new Set<string>()
  const { port } = await serveBlocks([content], { onServed: ({ peer }) => peers.add(peer) })
  return { port, peers }
}

test('a connection that was given back is taken again, for the same parent only', async () => {
  const { port, peers } = await countingParent()
  const other = await countingParent()
  const connections = pool()
  const first = connections.take('127.0.0.1', port, handlers)
  await first.ask(askFor(13))
  connections.give(first)
  const elsewhere = connections.take('127.0.0.1', other.port, handlers)
  expect(elsewhere).not.toBe(first)
  await elsewhere.ask(askFor(13))
  const again = connections.take('127.0.0.1', port, handlers)
  expect(again).toBe(first)
  await again.ask(askFor(13))
  await expect.poll(() => [peers.size, other.peers.size]).toEqual([1, 1])
  again.close()
  elsewhere.close()
})

test('a connection belongs to one taker at a time', async () => {
  const { port } = await countingParent()
  const connections = pool()
  const one = connections.take('127.0.0.1', port, handlers)
  await one.ask(askFor(13))
  connections.give(one)
  const [two, three] = [connections.take('127.0.0.1', port, handlers), connections.take('127.0.0.1', port, handlers)]
  expect(two).toBe(one)
  expect(three).not.toBe(one)
  two.close()
  three.close()
})

test('only the taker of now is told how a connection does', async () => {
  const port = await rawBlockParent((socket, _, index) => {
    socket.write(index === 0 ? answerOf(content) : encodeBlocksHeader(1))
  })
  const connections = pool()
  const broken: string[] = []
  const first = connections.take('127.0.0.1', port, { ...handlers, onBroken: () => broken.push('first') })
  await first.ask(askFor(13))
  connections.give(first)
  const second = connections.take('127.0.0.1', port, { ...handlers, onBroken: () => broken.push('second') })
  await expect(second.ask(askFor(13))).rejects.toMatchObject({ code: 'piece.corrupt' })
  expect(broken).toEqual(['second'])
})

test('a connection that still waits, is closed, or is not of ours is not kept', async () => {
  const port = await rawBlockParent(() => undefined)
  const connections = pool()
  const waiting = connections.take('127.0.0.1', port, handlers)
  const asked = waiting.ask(askFor(13))
  connections.give(waiting)
  await expect(asked).rejects.toMatchObject({ code: 'download.cancelled' })
  const next = connections.take('127.0.0.1', port, handlers)
  expect(next).not.toBe(waiting)
  next.close()
  connections.give(next)
  const foreign = openBlocks({ host: '127.0.0.1', port, ...times, ...handlers })
  atEnd(() => foreign.close())
  const last = connections.take('127.0.0.1', port, handlers)
  expect([waiting, next, foreign]).not.toContain(last)
  last.close()
})

test('a kept connection that its parent closes is forgotten', async () => {
  const { port } = await serveBlocks([content], { keepIdleMs: 0 })
  const connections = pool()
  const first = connections.take('127.0.0.1', port, handlers)
  await first.ask(askFor(13))
  connections.give(first)
  await sleep(1500)
  const second = connections.take('127.0.0.1', port, handlers)
  expect(second).not.toBe(first)
  await second.ask(askFor(13))
  second.close()
})

test('a connection is kept for a while only, and so many only', async () => {
  const { port } = await countingParent()
  const connections = pool({ keepMs: 200 })
  const taken = Array.from({ length: 70 }, () => connections.take('127.0.0.1', port, handlers))
  await Promise.all(taken.map((connection) => connection.ask(askFor(13))))
  for (const connection of taken) connections.give(connection)
  expect(taken.map(({ closed }) => closed)).toEqual(taken.map((_, i) => i < 6))
  await expect.poll(() => taken.every(({ closed }) => closed)).toBe(true)
})

test('what is kept, or given back later, is closed at the end', async () => {
  const { port } = await countingParent()
  const connections = pool()
  const [kept, taken] = [connections.take('127.0.0.1', port, handlers), connections.take('127.0.0.1', port, handlers)]
  await Promise.all([kept, taken].map((connection) => connection.ask(askFor(13))))
  connections.give(kept)
  await connections[Symbol.asyncDispose]()
  expect([kept.closed, taken.closed]).toEqual([true, false])
  connections.give(taken)
  expect(taken.closed).toBe(true)
})
