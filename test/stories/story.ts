import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect } from 'vitest'
import { type Content, type Ran, run, sha256File, sha256Of } from '#devnet'

export const MiB = 2 ** 20
export const GiB = 2 ** 30
/** Whole nets of processes on a busy machine. No story depends on being quick. */
export const STORY = { timeout: 300_000 }

/** What `dfget --json` prints. */
export interface Result {
  readonly bytes: number
  readonly contentLength: number
  readonly bytesFromSource: number
  readonly bytesFromPeers: number
  readonly bytesLocal: number
  readonly bytesByParentHost: Readonly<Record<string, number>>
}

/** The one object of a `dfget --json` that went well. */
export function resultOf(ran: Ran): Result {
  expect(ran, told(ran)).toMatchObject({ code: 0 })
  return JSON.parse(ran.stdout) as Result
}

/** The download went well. Otherwise the story fails with all that dfget said. */
export function expectSuccess(ran: Ran): void {
  expect(ran.code, told(ran)).toBe(0)
}

/** The file has these bytes, all of them and no other. */
export async function expectFile(path: string, content: Content): Promise<void> {
  expect(existsSync(path), `${path} is there`).toBe(true)
  expect(await sha256File(path), `SHA-256 of ${path}`).toBe(sha256Of(content))
}

/** The directory has these files and no drafts, locks or leftovers of any kind. */
export async function expectOnly(dir: string, names: readonly string[]): Promise<void> {
  expect((await readdir(dir)).sort()).toEqual([...names].sort())
}

/** Writes the seed page's sample plugin, in the form in which somebody would write it by hand. */
export async function writeSamplePlugin(dir: string, scheme = 'd7yfs'): Promise<void> {
  await mkdir(dir, { recursive: true })
  await writeFile(
    join(dir, `d7y-resource-plugin-${scheme}.mjs`),
    `
const client = {
  async getContentLength() { return ${'hello world'.length} },
  async isSupportRange() { return false },
  async isExpired() { throw new Error('implement me') },
  async getLastModified() { throw new Error('implement me') },
  async download() { return { body: new TextEncoder().encode('hello world') } },
}
export function DragonflyPluginInit() {
  const metadata = { type: 'resource', name: '${scheme}', scheme: '${scheme}', vendor: 'd7y', buildCommit: '', buildTime: '' }
  return { client, metadata }
}
`,
  )
}

/** A file system of its own of `size` bytes at `path`; undefined where we may not mount. */
export async function smallDisk(path: string, sizeBytes: number): Promise<AsyncDisposable | undefined> {
  await mkdir(path, { recursive: true })
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=700`, 'tmpfs', path])
  if (mounted.code !== 0) return undefined
  return {
    [Symbol.asyncDispose]: async () => {
      await run('umount', ['-l', path])
    },
  }
}

/** Files that were left beside an output: drafts have a dot before their name. */
export async function draftsBeside(path: string): Promise<string[]> {
  return (await readdir(dirname(path))).filter((name) => name.startsWith('.'))
}

function told(ran: Ran): string {
  return `exit ${ran.code ?? ran.signal}\n${ran.stdout.slice(-3000)}\n${ran.stderr.slice(-3000)}`
}
