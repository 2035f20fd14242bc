import { open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isTaskId, messageOf } from '#core'
import type { TaskMeta } from './contract.ts'
import { errnoOf } from './disk-failure.ts'
import { journalPath } from './disk-task.ts'
import { contentPath } from './intact-content.ts'
import { decodeLine } from './journal-format.ts'
import { firstState } from './journal-state.ts'

/** Tasks looked at at once: enough to keep a disk busy. */
const PARALLEL = 16
const HEAD_LENGTH = 8 * 2 ** 10
/** The longest first line that is written or read: origins choose how long their headers are. */
export const MAX_HEAD_LENGTH = 2 ** 20

/** A task as it is found at start, told from the first line of its journal. */
export interface FoundTask {
  readonly meta: TaskMeta
  readonly dir: string
  readonly lastUsedMs: number
  readonly estimatedBytes: number
}

export function taskDir(root: string, taskId: string): string {
  return join(root, 'tasks', taskId.slice(0, 3), taskId)
}

/** Numbers of the versions of a task that lie in its directory, the newest first. */
export function generationsOf(names: readonly string[]): number[] {
  const numbers = names.filter((name) => /^[1-9]\d{0,14}$/.test(name)).map(Number)
  return numbers.sort((a, b) => b - a)
}

/** Finds the newest version of every task, and removes what an earlier process left unfinished or set aside. */
export async function scan(root: string, warn: (message: string) => void): Promise<FoundTask[]> {
  const found: FoundTask[] = []
  const dirs = await taskDirs(root)
  const work = async (): Promise<void> => {
    for (let dir = dirs.pop(); dir !== undefined; dir = dirs.pop()) {
      try {
        const task = await scanTask(dir, warn)
        if (task !== undefined) found.push(task)
      } catch (error) {
        warn(`${dir} is left alone: ${messageOf(error)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  return found
}

async function taskDirs(root: string): Promise<string[]> {
  const top = join(root, 'tasks')
  const prefixes = (await namesIn(top)).filter((name) => /^[0-9a-f]{3}$/.test(name))
  const dirs: string[] = []
  for (const prefix of prefixes) {
    const ids = (await namesIn(join(top, prefix))).filter((name) => isTaskId(name) && name.startsWith(prefix))
    dirs.push(...ids.map((id) => taskDir(root, id)))
  }
  return dirs
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  })
}

async function scanTask(dir: string, warn: (message: string) => void): Promise<FoundTask | undefined> {
  let found: FoundTask | undefined
  for (const generation of generationsOf(await readdir(dir))) {
    const path = join(dir, String(generation))
    if (found !== undefined) {
      await removeLeftover(path, 'a newer version is here', warn)
      continue
    }
    found = await readHead(path)
    if (found === undefined) await removeLeftover(path, 'its journal cannot be read', warn)
  }
  if (found === undefined) await rm(dir, { recursive: true, force: true })
  else await rm(join(found.dir, 'content.new'), { force: true })
  return found
}

async function removeLeftover(path: string, why: string, warn: (message: string) => void): Promise<void> {
  warn(`removed ${path}: ${why}`)
  await rm(path, { recursive: true, force: true })
}

/** What the first line of a journal says. Throws when the disk does not let us look. */
async function readHead(dir: string): Promise<FoundTask | undefined> {
  const file = await open(journalPath(dir), 'r').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const { mtimeMs } = await file.stat()
    const line = await firstLine((target) => file.read(target, 0, target.length, 0))
    const state = line && firstState(decodeLine(line))
    if (state === undefined || !dirname(dir).endsWith(state.meta.taskId)) return undefined
    return { meta: state.meta, dir, lastUsedMs: mtimeMs, estimatedBytes: await diskUsage(contentPath(dir)) }
  } finally {
    await file.close()
  }
}

async function firstLine(read: (target: Buffer) => Promise<{ bytesRead: number }>): Promise<Buffer | undefined> {
  for (let length = HEAD_LENGTH; length <= MAX_HEAD_LENGTH; length *= 8) {
    const head = Buffer.allocUnsafe(length)
    const { bytesRead } = await read(head)
    const end = head.subarray(0, bytesRead).indexOf(0x0a)
    if (end >= 0) return head.subarray(0, end)
    if (bytesRead < length) return undefined
  }
  return undefined
}

async function diskUsage(path: string): Promise<number> {
  return stat(path).then(
    ({ blocks, size }) => Math.min(blocks * 512, size),
    () => 0,
  )
}
