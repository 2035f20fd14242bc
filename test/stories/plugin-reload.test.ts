// A replaced file serves the next task; running ones finish on the old one; then it is let go. Nothing is dropped.
import { readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { devnet, type Member, processesNaming, rssOf, tempDir, until } from '#devnet'
import { expectSuccess, MiB, STORY } from './story.ts'

const DOWNLOADS = 100
const SWAPS = 10
const AT_ONCE = 5
const FILE_BYTES = 256 * 1024

/** Gives FILE_BYTES times the number of its generation, not all at once. */
function pluginOf(generation: number): string {
  return `
async function* body() {
  for (let at = 0; at < 16; at++) {
    yield Buffer.alloc(${FILE_BYTES / 16}, ${generation})
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
export const DragonflyPluginInit = () => ({
  client: { getContentLength: async () => ${FILE_BYTES}, download: async () => ({ body: body(), contentLength: ${FILE_BYTES} }) },
  metadata: { type: 'resource', name: 'turn', scheme: 'turn' },
})`
}

test(
  '100 downloads while the plugin is replaced 10 times: none fails, none is mixed, and memory returns',
  STORY,
  async () => {
    await using dir = await tempDir('reload')
    const file = dir.join('d7y-resource-plugin-turn.mjs')
    await writeFile(file, pluginOf(1))
    const peerSettings = { pluginPolicy: { drainTimeout: '1s' } }
    await using net = await devnet({ scheduler: false, pluginDirs: { peers: [dir.path] }, peerSettings })
    const [peer] = net.peers as [Member]
    const seen = new Set<number>()
    const download = async (name: string): Promise<void> => {
      expectSuccess(await peer.dfget([`turn://host/${name}`, '-O', dir.join(name)]))
      const bytes = readFileSync(dir.join(name))
      expect(bytes.length).toBe(FILE_BYTES)
      expect(new Set(bytes).size, 'bytes of one generation only').toBe(1)
      seen.add(bytes[0] ?? 0)
    }
    await download('first')
    const before = rssOf(peer.pid)

    let next = 0
    let generation = 1
    const swapAt = DOWNLOADS / SWAPS
    const worker = async (): Promise<void> => {
      for (let number = next++; number < DOWNLOADS; number = next++) {
        if (number % swapAt === swapAt - 1) {
          await writeFile(`${file}.new`, pluginOf(++generation))
          await rename(`${file}.new`, file)
        }
        await download(`f${number}`)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    await download('last')
    expect(generation).toBe(1 + SWAPS)
    expect(seen.has(generation), 'the newest file serves').toBe(true)
    expect(seen.size).toBeGreaterThan(SWAPS / 2)
    const children = (): number => processesNaming(file).length
    await until(() => children() === 1, { what: 'the processes of the old files to end', timeoutMs: 30_000 })
    expect(rssOf(peer.pid) - before).toBeLessThan(64 * MiB)
  },
)
