// "A plugin that calls process.exit, spins, leaks 2 GiB, … takes nothing down": the daemons go on serving a swarm
// meanwhile, its digest is right, and each of the bad ones fails by a name of its own.
import { writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { chunksOf, devnet, type Member, tempDir } from '#devnet'
import { expectFile, expectSuccess, MiB, STORY } from './story.ts'

const FILE = { size: 24 * MiB, seed: 11 }

/** What each animal does in `download`, and what its user is told: the code, and words of the message. */
const ZOO: Readonly<Record<string, readonly [does: string, code: RegExp, says: RegExp]>> = {
  exits: ['process.exit(1)', /^plugin\.(crashed|down)$/, /its process ended \(exit code 1\)/],
  aborts: ['process.abort()', /^plugin\.(crashed|down)$/, /its process ended \(SIGABRT\)/],
  spins: ['for (;;);', /^plugin\.(hung|down)$/, /it did not react for 1 s and was ended/],
  leaks: [
    'const kept = []; while (kept.length < 128) { kept.push(Buffer.alloc(16 * 2 ** 20, 1)); await new Promise(setImmediate) } return { body: kept[0] }',
    /^plugin\.(crashed|down)$/,
    /more than the 300\.0 MiB it may, and was ended/,
  ],
  strays: [
    "setTimeout(() => { throw new Error('timer') }); Promise.reject(new Error('unhandled')); await new Promise((r) => setTimeout(r, 50)); throw Object.assign(new Error('closed on Sundays'), { code: 'source.denied' })",
    /^source\.denied$/,
    /closed on Sundays/,
  ],
  silent: [
    "return { contentLength: 5, body: (async function* () { yield Buffer.from('x'); await new Promise(() => {}) })() }",
    /^source\.unreachable$/,
    /no byte/,
  ],
  endless: [
    'return { contentLength: 5, body: (async function* () { for (;;) yield Buffer.alloc(1e6) })() }',
    /^source\.broken$/,
    /the body has more than the 5 bytes announced/,
  ],
  short: [
    "return { contentLength: 5, body: (async function* () { yield Buffer.from('x') })() }",
    /^source\.broken$/,
    /1 of 5/,
  ],
}

/** A megabyte to stdout for each of its thousand bytes: slow, but no failure. */
const PRINTS = `
  async function* body() {
    const text = 'x'.repeat(2 ** 20)
    for (let at = 0; at < 1000; at++) {
      if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve))
      yield Buffer.from('p')
    }
  }
  return { body: body(), contentLength: 1000 }`

async function writeAnimal(dir: string, scheme: string, does: string): Promise<void> {
  const text = `export const DragonflyPluginInit = () => ({
    client: { async download() { ${does} } },
    metadata: { type: 'resource', name: '${scheme}', scheme: '${scheme}' },
  })`
  await writeFile(`${dir}/d7y-resource-plugin-${scheme}.mjs`, text)
}

/** An origin of FILE that gives a trickle until it is released: its readers are at work all that time. */
async function tricklingOrigin(): Promise<AsyncDisposable & { readonly url: string; release(): void }> {
  let slow = true
  const server = createServer((request, response) => void serve(request, response))
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const headers = { 'content-length': FILE.size, etag: '"f"' }
    response.writeHead(200, headers)
    if (request.method === 'HEAD') return void response.end()
    for (const chunk of chunksOf(FILE)) {
      for (let at = 0; at < chunk.length; at += 65536) {
        if (!response.write(chunk.subarray(at, at + 65536))) await once(response, 'drain')
        if (slow) await sleep(200)
      }
    }
    response.end()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`,
    release: () => (slow = false),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

const settings = {
  pluginPolicy: { memory: '300MiB', hangTimeout: '1s', crashes: 3, coolDown: '5m' },
  sources: { idleTimeout: '6s', retry: { attempts: 2, probeAttempts: 2, firstDelay: '50ms' } },
}

test(
  'bad plugins of every kind fail by name, and the swarm beside them goes on with the right digest',
  STORY,
  async () => {
    await using dir = await tempDir('zoo')
    await using origin = await tricklingOrigin()
    for (const [scheme, [does]] of Object.entries(ZOO)) await writeAnimal(dir.path, scheme, does)
    await writeAnimal(dir.path, 'prints', PRINTS)
    const pluginDirs = { peers: [dir.path], seeds: [dir.path] }
    await using net = await devnet({ peers: 2, seeds: 1, pluginDirs, peerSettings: settings, seedSettings: settings })
    const [busy, other] = net.peers as [Member, Member]
    const pids = [busy, other, ...net.seeds].map(({ pid }) => pid)

    const swarm = [busy, other].map((peer) => peer.dfget([origin.url, '-O', dir.join(`${peer.name}.out`)]))
    let over = false
    void Promise.all(swarm).then(() => (over = true))
    const animals = Object.entries(ZOO).map(async ([scheme, [, code, says]]) => {
      const ran = await busy.dfget([`${scheme}://host/f`, '-O', dir.join(scheme), '--json'])
      expect(ran.code, scheme).not.toBe(0)
      const told = JSON.parse(ran.stdout) as { code: string; message: string }
      expect(told.code, `${scheme}: ${told.message}`).toMatch(code)
      expect(told.message, scheme).toMatch(says)
      expect(ran.stderr, scheme).not.toMatch(/^ {4}at /m)
    })
    animals.push(
      busy.dfget(['prints://host/f', '-O', dir.join('prints')]).then((ran) => {
        expectSuccess(ran)
        expect(readFileSync(dir.join('prints'), 'utf8')).toBe('p'.repeat(1000))
      }),
    )
    await Promise.all(animals)
    expect(over, 'the swarm was at work all the time').toBe(false)
    origin.release()
    for (const ran of await Promise.all(swarm)) expectSuccess(ran)
    for (const peer of [busy, other]) await expectFile(dir.join(`${peer.name}.out`), FILE)
    expect([busy, other, ...net.seeds].map(({ pid }) => pid)).toEqual(pids)
  },
)
