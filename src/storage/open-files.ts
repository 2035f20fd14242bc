import { close, constants, openSync } from 'node:fs'
import { Failure } from '#core'

const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
const MODE = 0o600

/** Keeps files open between uses, but no more than `maxIdle` that nobody uses right now. */
export class OpenFiles {
  readonly #maxIdle: number
  /** In the order of their last use. */
  readonly #idle = new Set<OpenFile>()

  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle
  }

  file(path: string): OpenFile {
    return new OpenFile(path, this)
  }

  /** For OpenFile alone. */
  rest(file: OpenFile): void {
    this.#idle.add(file)
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.#maxIdle) break
      this.#idle.delete(oldest)
      oldest.shut()
    }
  }

  /** For OpenFile alone. */
  wake(file: OpenFile): void {
    this.#idle.delete(file)
  }
}

/** A file of ours, opened for reading and writing when it is used, made when it is not there. */
export class OpenFile {
  readonly path: string
  readonly #files: OpenFiles
  #fd: number | undefined
  #users = 0
  #closed = false
  #whenClosed: (() => void) | undefined

  constructor(path: string, files: OpenFiles) {
    this.path = path
    this.#files = files
  }

  async use<T>(step: (fd: number) => Promise<T>): Promise<T> {
    const fd = this.#acquire()
    try {
      return await step(fd)
    } finally {
      this.#release()
    }
  }

  useSync<T>(step: (fd: number) => T): T {
    const fd = this.#acquire()
    try {
      return step(fd)
    } finally {
      this.#release()
    }
  }

  /** Waits for the uses under way; after that the file cannot be used any more. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#users > 0) await new Promise<void>((resolve) => (this.#whenClosed = resolve))
    this.#files.wake(this)
    this.shut()
  }

  /** For OpenFiles alone: gives the descriptor back until the next use. */
  shut(): void {
    if (this.#fd !== undefined) close(this.#fd)
    this.#fd = undefined
  }

  #acquire(): number {
    if (this.#closed) throw new Failure('storage.failed', `${this.path} was removed or its storage closed`)
    this.#fd ??= openSync(this.path, FLAGS, MODE)
    if (this.#users++ === 0) this.#files.wake(this)
    return this.#fd
  }

  #release(): void {
    if (--this.#users > 0) return
    if (this.#closed) this.#whenClosed?.()
    else this.#files.rest(this)
  }
}
