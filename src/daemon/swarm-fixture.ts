import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { blake3 } from '@napi-rs/blake-hash'
import { crc32 } from '@node-rs/crc32'
import { BLOCK_LENGTH, blockCount, BlockSet, Failure, fill, type PieceRecord, pieceCount, pieceSpan } from '#core'
import { openTaskStore, type StoredTask, type TaskMeta, type TaskStore } from '#storage'
import type { Announced, ParentLink } from './from-parent.ts'
import type { Parent } from './plan.ts'
import { type HostKey, passingHostKey } from './trust.ts'

/** What tests of the swarm need: real storage, real keys and content; only the wires are missing. */
export const PIECE_LENGTH = 4 * 2 ** 20
export const TASK_ID = 'a'.repeat(64)

export async function tempStore(): Promise<TaskStore> {
  const dir = mkdtempSync(join(tmpdir(), 'daemon-test-'))
  const store = await openTaskStore({ dir, warn: () => undefined })
  const close = store[Symbol.asyncDispose].bind(store)
  return Object.assign(store, {
    async [Symbol.asyncDispose]() {
      await close()
      rmSync(dir, { recursive: true, force: true })
    },
  })
}

export function metaOf(contentLength: number | undefined, over: Partial<TaskMeta> = {}): TaskMeta {
  return {
    taskId: TASK_ID,
    url: 'http://origin/file',
    tag: '',
    application: '',
    filteredQueryParams: [],
    pieceLength: PIECE_LENGTH,
    version: 'v1',
    etag: '"v1"',
    lastModified: '',
    contentLength,
    headers: {},
    ...over,
  }
}

/** Bytes that differ at every place, the same for the same seed. */
export function contentOf(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed * 2_654_435_761
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

export async function bytesOf(task: StoredTask): Promise<Buffer> {
  const all = Buffer.alloc(task.contentLength ?? 0)
  for (const { offset, length } of task.pieces()) await task.read(offset, all.subarray(offset, offset + length))
  return all
}

/** The host that read the origin. */
export interface Reader {
  readonly hostId: string
  readonly key: HostKey
}

export const newReader = (hostId = 'seed'): Reader => ({ hostId, key: passingHostKey() })

export function recordOf(content: Buffer, number: number, reader: Reader, version = 'v1'): PieceRecord {
  const { offset, length } = pieceSpan(number, PIECE_LENGTH, content.length)
  const piece = content.subarray(offset, offset + length)
  const blocks = Buffer.concat(
    Array.from({ length: Math.ceil(length / BLOCK_LENGTH) }, (_, block) =>
      blake3(piece.subarray(block * BLOCK_LENGTH, (block + 1) * BLOCK_LENGTH)),
    ),
  )
  const facts = {
    taskId: TASK_ID,
    version,
    pieceLength: PIECE_LENGTH,
    number,
    offset,
    length,
    contentLength: content.length,
  }
  const unsigned = { ...facts, blocks: new Uint8Array(blocks), signer: reader.hostId }
  return { ...unsigned, signature: reader.key.sign(unsigned) }
}

export const parent = (hostname: string): Parent => ({
  id: `127.0.0.1-${hostname}-peer`,
  hostId: `127.0.0.1-${hostname}`,
  hostname,
  ip: '127.0.0.1',
  port: 4000,
})

/** How one parent behaves. */
export interface Behaviour {
  readonly content: Buffer
  /** Pieces it has from the start; all when not given. */
  readonly has?: readonly number[]
  readonly record?: (number: number) => PieceRecord | undefined
  /** What it sends instead of a piece; a Failure is its answer. */
  readonly send?: (number: number, right: Buffer) => Buffer | Failure
  /** It goes away after so many announcements. */
  readonly diesAfter?: number
  /** It stays connected when it has told all. */
  readonly lingers?: boolean
  /** It gives single blocks. */
  readonly blocks?: boolean
  /** Blocks it has of pieces that it does not have whole. */
  readonly partly?: Readonly<Record<number, readonly number[]>>
  /** Sent along with the news of each piece. */
  readonly along?: Buffer
  /** How long an answer takes; for ever: it never comes, and the silence is told at once. */
  readonly takesMs?: number | 'for ever'
}

/** Parents in this process, by host name. `asked` tells the pieces asked of each, `askedBlocks` blocks as `piece.block`. */
export function fakeLink(
  behaviours: Readonly<Record<string, Behaviour>>,
): ParentLink & { asked: Record<string, number[]>; askedBlocks: Record<string, string[]> } {
  const asked: Record<string, number[]> = {}
  const askedBlocks: Record<string, string[]> = {}
  const ports = Object.keys(behaviours)
  const behaviourOf = (hostname: string): Behaviour => {
    const behaviour = behaviours[hostname]
    if (behaviour === undefined) throw new Failure('peer.unreachable', `${hostname} is not there`)
    return behaviour
  }
  return {
    asked,
    askedBlocks,
    async *sync({ hostname, ip }, { numbers }, signal): AsyncGenerator<Announced> {
      const {
        content,
        has,
        record,
        diesAfter,
        lingers,
        blocks: speaksBlocks = false,
        partly = {},
        along,
      } = behaviourOf(hostname)
      const all = Array.from({ length: pieceCount(content.length, PIECE_LENGTH) }, (_, number) => number)
      let told = 0
      for (const number of (has ?? all).filter((one) => numbers?.includes(one) ?? true)) {
        if (told++ === diesAfter) throw new Failure('peer.unreachable', `${hostname} died`)
        yield {
          ...pieceSpan(number, PIECE_LENGTH, content.length),
          ip,
          port: ports.indexOf(hostname),
          record: record?.(number),
          speaksBlocks,
          content: along,
        }
      }
      for (const [key, indexes] of Object.entries(partly)) {
        const number = Number(key)
        const span = pieceSpan(number, PIECE_LENGTH, content.length)
        const set = BlockSet.of(blockCount(span.length))
        for (const index of indexes) set.add(index)
        const at = { ip, port: ports.indexOf(hostname) }
        yield { ...span, ...at, record: record?.(number), speaksBlocks, blocks: set.bytes }
      }
      if (lingers) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    },
    async fetch({ port, number }, sink) {
      const hostname = ports[port] ?? ''
      ;(asked[hostname] ??= []).push(number)
      const { content, send } = behaviourOf(hostname)
      const { offset, length } = pieceSpan(number, PIECE_LENGTH, content.length)
      const right = content.subarray(offset, offset + length)
      const sent = send?.(number, right) ?? right
      if (sent instanceof Failure) throw sent
      const taker = sink({ offset, length, crc32: crc32(sent) })
      await fill(taker, sent)
      if (sent.length < length)
        throw new Failure('peer.unreachable', `${hostname} sent ${sent.length} of ${length} bytes`)
    },
    openBlocks({ port }, onSilent) {
      const hostname = ports[port] ?? ''
      const closed = new AbortController()
      return {
        async ask({ number, first, count }, sink) {
          for (let index = first; index < first + count; index++)
            (askedBlocks[hostname] ??= []).push(`${number}.${index}`)
          const { content, send, takesMs } = behaviourOf(hostname)
          if (takesMs === 'for ever') {
            onSilent()
            await new Promise((_, reject) => {
              closed.signal.addEventListener('abort', () => reject(new Failure('peer.unreachable', 'closed')))
            })
          }
          if (typeof takesMs === 'number') await sleep(takesMs, undefined, { signal: closed.signal })
          closed.signal.throwIfAborted()
          const { offset, length } = pieceSpan(number, PIECE_LENGTH, content.length)
          const right = content.subarray(offset, offset + length)
          const sent = send?.(number, right) ?? right
          if (sent instanceof Failure) throw sent
          await fill(sink(), sent.subarray(first * BLOCK_LENGTH, (first + count) * BLOCK_LENGTH))
        },
        close: () => closed.abort(new Failure('peer.unreachable', 'closed')),
      }
    },
  }
}
