import { ftruncate, ftruncateSync, writeSync } from 'node:fs'
import { diskFailure } from './disk-failure.ts'
import { type Entry, encodeLine } from './journal-format.ts'
import type { OpenFile } from './open-files.ts'
import { writeAt } from './positional.ts'

/** Appends lines to a journal file, in the order of the calls. */
export class Journal {
  readonly #file: OpenFile
  #length: number
  #tail: Promise<void> = Promise.resolve()

  /** `length`: the trusted bytes; what stands behind them is written over. */
  constructor(file: OpenFile, length: number) {
    this.#file = file
    this.#length = length
  }

  /** Resolves when the lines are in the kernel's hands. When it rejects, none of them counts. */
  append(...entries: Entry[]): Promise<void> {
    const lines = Buffer.from(entries.map(encodeLine).join(''))
    const written = this.#tail.then(() => this.#write(lines))
    this.#tail = written.catch(() => undefined)
    return written
  }

  /** Puts one line behind the trusted bytes and cuts off the rest, at once. For a journal nobody appends to yet. */
  cutSync(entry: Entry): void {
    const line = Buffer.from(encodeLine(entry))
    try {
      this.#file.useSync((fd) => {
        writeSync(fd, line, 0, line.length, this.#length)
        ftruncateSync(fd, this.#length + line.length)
      })
    } catch (error) {
      throw diskFailure(error, this.#file.path, 'write')
    }
    this.#length += line.length
  }

  async close(): Promise<void> {
    await this.#tail
    await this.#file.close()
  }

  async #write(lines: Uint8Array): Promise<void> {
    try {
      await this.#file.use(async (fd) => {
        await writeAt(fd, lines, this.#length).catch(async (error: unknown) => {
          // A part of a line may stand there now. The next line goes over it, or the next reader cuts it off.
          await new Promise<void>((resolve) => ftruncate(fd, this.#length, () => resolve()))
          throw error
        })
      })
    } catch (error) {
      throw diskFailure(error, this.#file.path, 'write')
    }
    this.#length += lines.length
  }
}
