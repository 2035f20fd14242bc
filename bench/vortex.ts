/**
 * How fast pieces cross loopback between two processes when they are thrown away on arrival, beside a plain socket:
 * the ground under every other figure. Not a part of `npm run bench`; to run it:
 * `npx esbuild bench/vortex.ts --bundle --platform=node --format=esm --packages=external --outfile=node_modules/.vortex.mjs`
 * and `node node_modules/.vortex.mjs [GiB]`.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { fetchPiece, openBlocks, type PieceServer, type ServedBlocks, servePieces } from '#api'
import { BLOCK_LENGTH, type ByteSink } from '#core'

const MiB = 2 ** 20
const PIECE_BYTES = 16 * MiB
const TOTAL_BYTES = Number(process.argv[2] ?? 1) * 1024 * MiB
const ROUNDS = 5
const TASK = 'f'.repeat(64)

/** Serves pieces and blocks from memory, and the same bytes without any framing. */
async function parent(): Promise<void> {
  const content = Buffer.alloc(PIECE_BYTES, 1)
  const read: ServedBlocks['read'] = async (position, target) => {
    await new Promise(setImmediate)
    content.copy(target, 0, position, position + target.length)
    return target.length
  }
  const plain = net.createServer((socket) => {
    let left = TOTAL_BYTES
    const write = (): void => {
      if (left === 0) return void socket.end()
      left -= MiB
      socket.write(content.subarray(0, MiB), write)
    }
    write()
  })
  plain.listen(0, '127.0.0.1')
  const pieces: PieceServer = await servePieces({
    listen: { host: '127.0.0.1', port: 0 },
    maxConnections: 16,
    idleTimeoutMs: 10_000,
    find: (_, number) =>
      Promise.resolve({
        number,
        offset: number * PIECE_BYTES,
        length: PIECE_BYTES,
        crc32: 0,
        parentId: '',
        costMs: 0,
        createdAt: 0,
        read,
      }),
    findBlocks: (_, __, ___, count) => Promise.resolve({ length: count * BLOCK_LENGTH, read }),
  })
  process.send?.({ pieces: pieces.port, plain: (plain.address() as net.AddressInfo).port })
  process.on('message', () => process.send?.(process.cpuUsage()))
}

/** Takes everything into one reused buffer. */
function nowhere(buffer: Uint8Array): ByteSink {
  return { space: () => buffer, filled: () => true, drained: () => Promise.resolve(), full: false }
}

async function fetchAll(port: number, workers: number): Promise<void> {
  const { signal } = new AbortController()
  let next = 0
  const work = async (): Promise<void> => {
    const sink = nowhere(Buffer.alloc(512 * 1024))
    while (next < TOTAL_BYTES / PIECE_BYTES) {
      const number = next++
      const limits = { timeoutMs: 10_000, connectTimeoutMs: 2000 }
      await fetchPiece({ host: '127.0.0.1', port, taskId: TASK, number, signal, sink: () => sink, ...limits })
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
}

/** All over one connection: requests of `count` blocks, `deep` of them asked ahead. */
async function fetchBlocks(port: number, count: number, deep: number): Promise<void> {
  const times = { connectTimeoutMs: 2000, timeoutMs: 10_000, silentMs: 1000 }
  const handlers = { onSilent: () => undefined, onBroken: () => undefined }
  const connection = openBlocks({ host: '127.0.0.1', port, ...times, ...handlers })
  const bytes = count * BLOCK_LENGTH
  const sink = nowhere(Buffer.alloc(512 * 1024))
  let left = TOTAL_BYTES / bytes
  const work = async (): Promise<void> => {
    while (left-- > 0) await connection.ask({ taskId: TASK, number: 0, first: 0, count, bytes, sink: () => sink })
  }
  await Promise.all(Array.from({ length: deep }, work))
  connection.close()
}

async function plainSocket(port: number): Promise<void> {
  const onread = { buffer: Buffer.alloc(512 * 1024), callback: () => true }
  const socket = net.connect({ host: '127.0.0.1', port, onread })
  socket.resume()
  await once(socket, 'close')
}

async function main(): Promise<void> {
  const child = fork(process.argv[1] ?? '', ['1', 'parent'])
  const [ports] = (await once(child, 'message')) as [{ pieces: number; plain: number }]
  const cases: [string, () => Promise<void>][] = [
    ['plain socket', () => plainSocket(ports.plain)],
    ['pieces, 1 connection', () => fetchAll(ports.pieces, 1)],
    ['pieces, 4 connections', () => fetchAll(ports.pieces, 4)],
    ['1 block, 2 ahead', () => fetchBlocks(ports.pieces, 1, 2)],
    ['1 block, 8 ahead', () => fetchBlocks(ports.pieces, 1, 8)],
    ['8 blocks, 2 ahead', () => fetchBlocks(ports.pieces, 8, 2)],
    ['8 blocks, 8 ahead', () => fetchBlocks(ports.pieces, 8, 8)],
  ]
  const cpuOfParent = async (): Promise<number> => {
    child.send('cpu')
    const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage]
    return (user + system) / 1e6
  }
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of cases) {
      const [from, mine, its] = [performance.now(), process.cpuUsage(), await cpuOfParent()]
      await run()
      const seconds = (performance.now() - from) / 1000
      const { user, system } = process.cpuUsage(mine)
      const cpu = `CPU ${((user + system) / 1e6).toFixed(2)} s here, ${((await cpuOfParent()) - its).toFixed(2)} s there`
      if (round > 0) console.log(`${name}: ${(TOTAL_BYTES / MiB / seconds).toFixed(0)} MiB/s, ${cpu}`)
    }
  }
  child.kill()
}

await (process.argv[3] === 'parent' ? parent() : main())
