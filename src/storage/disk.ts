import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, makeDirs, messageOf } from '#core'
import { BufferPool } from './buffers.ts'
import { chooseEvictions } from './choose-evictions.ts'
import type { StoredTask, TaskMeta, TaskStore } from './contract.ts'
import { diskFailure } from './disk-failure.ts'
import { DiskTask, journalPath } from './disk-task.ts'
import { encodeLine } from './journal-format.ts'
import { isSound } from './journal-state.ts'
import { OpenFiles } from './open-files.ts'
import { lockDir, makePrivateDir } from './private-dir.ts'
import { type FoundTask, generationsOf, MAX_HEAD_LENGTH, scan, taskDir } from './scan.ts'
import { storageSettings } from './settings.ts'

const MAX_IDLE_FILES = 128
const BOOT_ID = '/proc/sys/kernel/random/boot_id'

export interface TaskStoreOptions {
  /** Made when it is not there. */
  readonly dir: string
  /** Memory for bytes on their way to disk; see the setting `bufferMemory`. */
  readonly bufferBytes?: number
  /** Names the time since this machine started; by default what the kernel says. */
  readonly boot?: string
  readonly warn: (message: string) => void
}

/** Opens the storage in a directory, and finds all that is stored there. */
export async function openTaskStore(options: TaskStoreOptions): Promise<TaskStore> {
  const { dir, warn } = options
  makePrivateDir(dir)
  const lock = lockDir(dir)
  try {
    const store = new DiskStore({ ...options, boot: options.boot ?? bootId() }, lock)
    for (const found of await scan(dir, warn)) store.add(found)
    return store
  } catch (error) {
    lock[Symbol.dispose]()
    throw diskFailure(error, dir, 'read')
  }
}

function bootId(): string {
  try {
    return readFileSync(BOOT_ID, 'latin1').trim()
  } catch {
    return ''
  }
}

class DiskStore implements TaskStore {
  readonly #options: TaskStoreOptions & { readonly boot: string }
  readonly #lock: Disposable
  readonly #files = new OpenFiles(MAX_IDLE_FILES)
  readonly #pool: BufferPool
  readonly #tasks = new Map<string, DiskTask>()
  /** Tasks that are gone for everyone but those who still use them. */
  readonly #leaving = new Map<DiskTask, Promise<void>>()

  constructor(options: TaskStoreOptions & { readonly boot: string }, lock: Disposable) {
    this.#options = options
    this.#lock = lock
    this.#pool = new BufferPool(options.bufferBytes ?? storageSettings.bufferMemory.default)
  }

  get heldBytes(): number {
    return [...this.#tasks.values()].reduce((sum, task) => sum + task.storedBytes, 0)
  }

  async open(meta: TaskMeta): Promise<StoredTask> {
    const known = this.#tasks.get(meta.taskId)
    if (known !== undefined && isSameContent(known, meta)) {
      using _hold = known.hold()
      await known.ready()
      if (meta.contentLength !== undefined) await known.setContentLength(meta.contentLength)
      return known
    }
    const fresh = this.add(this.#create(meta))
    if (known !== undefined) void this.#letGo(known)
    return fresh
  }

  get(taskId: string): StoredTask | undefined {
    const task = this.#tasks.get(taskId)
    // Pieces in doubt appear as they are found to be right; nobody has to wait for the others.
    task?.ready().catch((error: unknown) => this.#options.warn(messageOf(error)))
    return task
  }

  list(): StoredTask[] {
    return [...this.#tasks.values()]
  }

  async delete(taskId: string): Promise<void> {
    const task = this.#tasks.get(taskId)
    if (task === undefined) return
    this.#tasks.delete(taskId)
    const gone = this.#letGo(task)
    if (!task.inUse) await gone
  }

  async verify(taskId: string): Promise<{ dropped: number }> {
    const task = this.#tasks.get(taskId)
    if (task === undefined) throw new Failure('task.unknown', `task ${taskId} is not stored here`)
    return { dropped: await task.verify() }
  }

  async evict(limits: { capacityBytes: number; idleMs: number; now: number }): Promise<string[]> {
    const candidates = [...this.#tasks].map(([taskId, task]) => {
      const { storedBytes: bytes, lastUsedMs, inUse } = task
      return { taskId, bytes, lastUsedMs, inUse }
    })
    const chosen = chooseEvictions(candidates, limits)
    await Promise.all(chosen.map((taskId) => this.delete(taskId)))
    return chosen
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tasks = [...this.#tasks.values()]
    this.#tasks.clear()
    const leaving = [...this.#leaving].filter(([task]) => !task.inUse).map(([, gone]) => gone)
    await Promise.all([...leaving, ...tasks.map((task) => task.close())])
    this.#lock[Symbol.dispose]()
  }

  add({ meta, dir, lastUsedMs, estimatedBytes }: FoundTask): DiskTask {
    const { boot, warn } = this.#options
    const facts = { meta, dir, lastUsedMs, estimatedBytes }
    const task = new DiskTask({ ...facts, boot, files: this.#files, pool: this.#pool, warn })
    this.#tasks.set(meta.taskId, task)
    return task
  }

  /** Makes the directory of a new version. At once, so that two callers cannot make it at the same time. */
  #create(meta: TaskMeta): FoundTask {
    if (!isSound(meta))
      throw new Failure(
        'storage.failed',
        `task "${meta.taskId}" cannot be stored: its id or one of its lengths is not valid`,
      )
    const line = encodeLine({ kind: 'task', boot: this.#options.boot, meta })
    if (Buffer.byteLength(line) > MAX_HEAD_LENGTH)
      throw new Failure('storage.failed', `what the origin says of ${meta.url} is too long to be stored`)
    const parent = taskDir(this.#options.dir, meta.taskId)
    let dir: string | undefined
    try {
      makeDirs(parent, (path) => mkdirSync(path, 0o700))
      const [newest = 0] = generationsOf(readdirSync(parent))
      dir = join(parent, String(newest + 1))
      mkdirSync(dir, { mode: 0o700 })
      writeFileSync(journalPath(dir), line, { mode: 0o600, flag: 'wx' })
    } catch (error) {
      if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
      throw diskFailure(error, dir ?? parent, 'make')
    }
    return { meta, dir, lastUsedMs: Date.now(), estimatedBytes: 0 }
  }

  #letGo(task: DiskTask): Promise<void> {
    const gone = task
      .remove()
      .catch((error: unknown) => this.#options.warn(`not removed: ${messageOf(error)}`))
      .finally(() => this.#leaving.delete(task))
    this.#leaving.set(task, gone)
    return gone
  }
}

/** A length that was not known is no other content. */
function isSameContent(task: DiskTask, meta: TaskMeta): boolean {
  const { version, pieceLength } = task.meta
  const { contentLength } = task
  const sameLength =
    contentLength === undefined || meta.contentLength === undefined || contentLength === meta.contentLength
  return version === meta.version && pieceLength === meta.pieceLength && sameLength
}
