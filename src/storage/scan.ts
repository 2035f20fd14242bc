import { closeSync, constants, fstatSync, open, rmSync, statSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { isTaskId, messageOf } from '#core'
import type { TaskMeta } from './contract.ts'
import { errnoOf } from './disk-failure.ts'
import { journalPath } from './disk-task.ts'
import { contentPath } from './intact-content.ts'
import { decodeLine } from './journal-format.ts'
import { firstState } from './journal-state.ts'
import { readAt } from './positional.ts'

const openFile = promisify(open)

/** Tasks looked at at once: enough to keep a disk busy. */
const PARALLEL = 16
const HEAD_LENGTH = 2 ** 11
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
  else rmSync(join(found.dir, 'content.new'), { force: true })
  return found
}

async function removeLeftover(path: string, why: string, warn: (message: string) => void): Promise<void> {
  warn(`removed ${path}: ${why}`)
  await rm(path, { recursive: true, force: true })
}

/** What the first line of a journal says. Throws when the disk does not let us look. */
async function readHead(dir: string): Promise<FoundTask | undefined> {
  const fd = await openFile(journalPath(dir), constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (fd === undefined) return undefined
  try {
    const line = await firstLine(fd)
    const state = line && firstState(decodeLine(line))
    if (state === undefined || !dirname(dir).endsWith(state.meta.taskId)) return undefined
    // After the read these cost microseconds; a promise each would cost more than all the rest of the scan.
    const { mtimeMs } = fstatSync(fd)
    return { meta: state.meta, dir, lastUsedMs: mtimeMs, estimatedBytes: diskUsage(contentPath(dir)) }
  } finally {
    closeSync(fd)
  }
}

async function firstLine(fd: number): Promise<Buffer | undefined> {
  for (let length = HEAD_LENGTH; length <= MAX_HEAD_LENGTH; length *= 8) {
    const head = Buffer.allocUnsafe(length)
    const read = await readAt(fd, head, 0)
    const end = head.subarray(0, read).indexOf(0x0a)
    if (end >= 0) return head.subarray(0, end)
    if (read < length) return undefined
  }
  return undefined
}

function diskUsage(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? 0 : Math.min(found.blocks * 512, found.size)
}
