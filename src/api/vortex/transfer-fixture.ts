import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { BLOCK_LENGTH, type ByteSink } from '#core'
import type { BlockAsk, BlockConnection, BlockConnectionOptions } from './block-connection.ts'
import { encodeBlocksHeader } from './codec.ts'
import { openBlocks } from './dialled-blocks.ts'
import { type Request, RequestReader } from './request-reader.ts'
import { type PieceServer, servePieces } from './serve.ts'
import type { PieceServerOptions, ServedPiece } from './served.ts'

/** What tests of the transfer need: a parent of ours, a parent written by hand, and a sink that finds mistakes. */
export const TASK = 'f'.repeat(64)

const cleanups: (() => unknown)[] = []

/** Closes what a test opened. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}

/** Is called at the end of the test. */
export function atEnd(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

export function pieceOf(content: Uint8Array, number = 3): ServedPiece {
  return {
    number,
    offset: 1000,
    length: content.length,
    crc32: 1_475_635_037,
    parentId: 'parent',
    costMs: 2000,
    createdAt: 1_693_152_000_000,
    read: (position, target) => {
      const part = content.subarray(position, position + target.length)
      target.set(part)
      return Promise.resolve(part.length)
    },
  }
}

export async function serve(
  piece: ServedPiece | undefined,
  options: Partial<PieceServerOptions> = {},
): Promise<PieceServer> {
  const server = await servePieces({
    listen: { host: '127.0.0.1', port: 0 },
    maxConnections: 100,
    idleTimeoutMs: 60_000,
    find: (taskId, number) => Promise.resolve(taskId === TASK && number === piece?.number ? piece : undefined),
    ...options,
  })
  atEnd(() => server[Symbol.asyncDispose]())
  return server
}

/** A sink that takes `spaces` bytes at a time (in turn), says no after each `full` of them, and wants more later. */
export class Collector implements ByteSink {
  readonly bytes: Buffer
  length = 0
  drains = 0
  readonly #spaces: readonly number[]
  readonly #slow: (sink: Collector) => Promise<void> | undefined
  #turn = 0
  #space: Buffer | undefined

  constructor(length: number, spaces: readonly number[], slow: (sink: Collector) => Promise<void> | undefined) {
    this.bytes = Buffer.alloc(length)
    this.#spaces = spaces
    this.#slow = slow
  }

  get full(): boolean {
    return this.length === this.bytes.length
  }

  space(): Uint8Array {
    // Always another piece of memory, filled with junk, so that a read into old space shows.
    this.#space ??= Buffer.alloc(this.#spaces[this.#turn++ % this.#spaces.length] ?? 1, 0xee)
    return this.#space
  }

  filled(length: number): boolean {
    const taken = this.#space?.subarray(0, length)
    this.#space = undefined
    taken?.copy(this.bytes, this.length)
    this.length += length
    taken?.fill(0xdd)
    this.#draining = this.#slow(this)
    return this.#draining === undefined
  }

  #draining: Promise<void> | undefined

  drained(): Promise<void> {
    this.drains += 1
    return this.#draining ?? Promise.resolve()
  }
}

export const eager = (length: number): Collector => new Collector(length, [65_536], () => undefined)

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A parent written by hand: does with each connection what it is told. */
export async function rawParent(act: (socket: net.Socket, first: Buffer) => unknown): Promise<number> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', (first) => act(socket, first))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

/** A parent of ours that has pieces 0, 1, … with these contents, as blocks. */
export function serveBlocks(
  contents: readonly Buffer[],
  options: Partial<PieceServerOptions> = {},
): Promise<PieceServer> {
  return serve(undefined, {
    findBlocks: (taskId, number, first, count) => {
      const from = first * BLOCK_LENGTH
      const content = taskId === TASK ? contents[number]?.subarray(from, from + count * BLOCK_LENGTH) : undefined
      return Promise.resolve(content === undefined || content.length === 0 ? undefined : pieceOf(content))
    },
    ...options,
  })
}

export interface OpenedBlocks {
  readonly connection: BlockConnection
  /** How often it was silent. */
  silent: number
  readonly broken: unknown[]
}

export function open(port: number, options: Partial<BlockConnectionOptions> = {}): OpenedBlocks {
  const opened = { silent: 0, broken: [] as unknown[] }
  const connection = openBlocks({
    host: '127.0.0.1',
    port,
    connectTimeoutMs: 5000,
    timeoutMs: 10_000,
    silentMs: 5000,
    onSilent: () => (opened.silent += 1),
    onBroken: (error) => opened.broken.push(error),
    ...options,
  })
  atEnd(() => connection.close())
  return Object.assign(opened, { connection })
}

/** Asks for `bytes` bytes of a piece, from its first block on. */
export function askFor(bytes: number, ask: Partial<BlockAsk> = {}): BlockAsk {
  const sink = eager(bytes)
  return { taskId: TASK, number: 0, first: 0, count: Math.ceil(bytes / BLOCK_LENGTH), bytes, sink: () => sink, ...ask }
}

/** A parent written by hand, that is told of each request for blocks, counted over all connections. */
export function rawBlockParent(
  answer: (socket: net.Socket, request: Request, index: number) => unknown,
): Promise<number> {
  let index = 0
  return rawParent((socket, first) => {
    const reader = new RequestReader()
    const take = (chunk: Buffer): void => {
      for (const request of reader.read(chunk)) answer(socket, request, index++)
    }
    socket.on('data', take)
    take(first)
  })
}

/** An answer as it is on the wire. */
export function answerOf(content: Uint8Array): Buffer {
  return Buffer.concat([encodeBlocksHeader(content.length), content])
}
