import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isServing, serveHealth } from '../health.ts'
import { openChannel } from './channel.ts'
import { type GrpcServer, serveGrpc } from './server.ts'

/** What tests measure in a process of its own, where nothing else uses memory: `connections.test.ts`. */

const ROUNDS = 5
const AT_ONCE = 20

async function garbage(server: GrpcServer): Promise<void> {
  const socket = net.connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  socket.end('no HTTP/2 at all, but long enough to be taken for it\r\n\r\n')
  await once(socket, 'close')
}

async function shortCall(server: GrpcServer): Promise<void> {
  await using channel = openChannel(server.address)
  if (!(await isServing(channel))) throw new Error('the server does not serve')
}

async function heapBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await sleep(50)
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

const [, , what, perRound] = process.argv
const connect = what === 'garbage' ? garbage : shortCall
const server = await serveGrpc({ services: [serveHealth([])], listen: { host: '127.0.0.1', port: 0 } })
const heaps: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  for (let i = 0; i < Number(perRound) / AT_ONCE; i++)
    await Promise.all(Array.from({ length: AT_ONCE }, () => connect(server)))
  heaps.push(await heapBytes())
}
console.log(JSON.stringify(heaps))
await server[Symbol.asyncDispose]()
