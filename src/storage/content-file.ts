import { type BigIntStats, fchmod, fstatSync, ftruncate, futimes, readSync } from 'node:fs'
import { promisify } from 'node:util'
import { diskFailure, onDisk } from './disk-failure.ts'
import { FreshBlocks } from './fresh-blocks.ts'
import type { ContentFacts } from './journal-format.ts'
import type { OpenFile } from './open-files.ts'
import { readAt, writeAt } from './positional.ts'

const truncateFile = promisify(ftruncate)
const setTimes = promisify(futimes)
const setMode = promisify(fchmod)

/** The file with a task's bytes, each at its own offset. Failures are `storage.*`. */
export class ContentFile {
  readonly #file: OpenFile
  readonly #fresh = new FreshBlocks()

  constructor(file: OpenFile) {
    this.#file = file
  }

  get path(): string {
    return this.#file.path
  }

  /** The bytes must not change until this resolves. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    // Not `onDisk`: this is the hot path, and an async closure less is a closure less.
    try {
      await this.#file.use((fd) => writeAt(fd, bytes, offset))
      this.#fresh.wrote(offset, bytes.length)
    } catch (error) {
      throw diskFailure(error, this.path, 'write')
    }
  }

  /** Resolves to the bytes read, fewer than asked for only at the end of the file. */
  async read(target: Uint8Array, offset: number): Promise<number> {
    try {
      // A copy within memory takes less than handing the work to a thread and back.
      if (this.#fresh.has(offset, target.length)) {
        const read = this.#file.useSync((fd) => readSync(fd, target, 0, target.length, offset))
        if (read === target.length) return read
      }
      return await this.#file.use((fd) => readAt(fd, target, offset))
    } catch (error) {
      throw diskFailure(error, this.path, 'read')
    }
  }

  stat(): BigIntStats {
    try {
      return this.#file.useSync((fd) => fstatSync(fd, { bigint: true }))
    } catch (error) {
      throw diskFailure(error, this.path, 'look at')
    }
  }

  truncate(length: number): Promise<void> {
    return onDisk(this.path, 'cut', () => this.#file.use((fd) => truncateFile(fd, length)))
  }

  /**
   * Makes ready to be shared with an output of this mode. The time of the last change becomes a whole second that has
   * passed: whoever writes into the file from now on leaves another one, however soon that is.
   */
  async settle(mode: number): Promise<ContentFacts> {
    return onDisk(this.path, 'prepare', () =>
      this.#file.use(async (fd) => {
        const { atimeMs, mtimeMs } = fstatSync(fd)
        await setTimes(fd, atimeMs / 1000, Math.floor(mtimeMs / 1000))
        await setMode(fd, mode)
        const { size, mtimeNs } = fstatSync(fd, { bigint: true })
        return { size: Number(size), mtimeNs }
      }),
    )
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
