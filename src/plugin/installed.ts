import { randomBytes } from 'node:crypto'
import { open, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What `plugin install` keeps in a plugin directory begins so; none of it is a plugin. */
export const INSTALL_PREFIX = '.install'

/** Holds where the plugins of a directory came from. People may look into it and write to it. */
export const RECORD_FILE = '.installed.json'

const LARGEST_RECORD_BYTES = 2 ** 20
const MOST_ENTRIES = 4096
const LONGEST_TEXT_CHARS = 2000

/** Where a plugin came from, as it was when it was installed. */
export interface Installed {
  /** A path, a URL without its secrets, or `npm name@version`. */
  readonly from: string
  /** Of its main module then, in hex. */
  readonly sha256: string
  /** RFC 3339, UTC. */
  readonly at: string
}

/** By the bare name of the plugin's file or folder. */
export type InstalledPlugins = ReadonlyMap<string, Installed>

/**
 * What is known of the plugins of a directory. Never fails: without a record, or with one that somebody has spoilt,
 * nothing is known; what is no entry in it is passed over.
 */
export async function readInstalled(dir: string): Promise<InstalledPlugins> {
  const plugins = recordOf(await readBounded(join(dir, RECORD_FILE)))
  const entries = Object.entries(plugins).slice(0, MOST_ENTRIES)
  return new Map(entries.flatMap(([location, entry]) => (isInstalled(entry) ? [[location, pick(entry)]] : [])))
}

/** Replaces the record as a whole. */
export async function writeInstalled(dir: string, plugins: InstalledPlugins): Promise<void> {
  const record = { version: 1, plugins: Object.fromEntries([...plugins].toSorted(([a], [b]) => (a < b ? -1 : 1))) }
  const draft = join(dir, `${INSTALL_PREFIX}-${randomBytes(6).toString('hex')}.json`)
  try {
    await writeFile(draft, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o644, flag: 'wx' })
    await rename(draft, join(dir, RECORD_FILE))
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** Empty for what is not there, is no regular file, or is too large to be a record. */
async function readBounded(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r')
    const stats = await file.stat()
    return stats.isFile() && stats.size <= LARGEST_RECORD_BYTES ? await file.readFile('utf8') : ''
  } catch {
    return ''
  }
}

function recordOf(text: string): Record<string, unknown> {
  try {
    const record: unknown = JSON.parse(text)
    return isRecord(record) && isRecord(record['plugins']) ? record['plugins'] : {}
  } catch {
    return {}
  }
}

function isInstalled(entry: unknown): entry is Installed {
  if (!isRecord(entry)) return false
  const { from, sha256, at } = entry
  return (
    typeof from === 'string' &&
    from.length <= LONGEST_TEXT_CHARS &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    typeof at === 'string' &&
    /^[0-9TZ:.+-]{10,40}$/.test(at)
  )
}

function pick({ from, sha256, at }: Installed): Installed {
  return { from, sha256, at }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
