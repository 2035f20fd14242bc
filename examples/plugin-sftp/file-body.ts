import { changed } from 'dragonfly-ts/source'
import type { Stats } from 'ssh2'
import type { Lease } from './sessions.ts'
import { sftpError } from './sftp-error.ts'

/** So much is asked for at once … */
const CHUNK_BYTES = 128 * 1024
/** … and so many questions are on their way before the first is answered: 2 MiB for a distant server. */
const AHEAD = 16

export interface OpenFile {
  readonly lease: Lease
  readonly handle: Buffer
  readonly stats: Stats
  readonly url: string
}

/**
 * The bytes of an open file from `start` to `end` (not included), read ahead by a bounded stretch. The file is closed at
 * the end, when the reader leaves, and when the signal aborts.
 */
export class FileBody implements AsyncIterableIterator<Uint8Array> {
  readonly #file: OpenFile
  readonly #end: number
  readonly #signal: AbortSignal
  readonly #coming: Promise<Uint8Array>[] = []
  #asked: number
  #closed = false
  /** Ends the wait of the reader. */
  #giveUp: ((reason: unknown) => void) | undefined

  constructor(file: OpenFile, start: number, end: number, signal: AbortSignal) {
    this.#file = file
    this.#asked = start
    this.#end = end
    this.#signal = signal
    signal.addEventListener('abort', this.#abort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#signal.throwIfAborted()
    if (this.#closed) return { done: true, value: undefined }
    try {
      while (this.#coming.length < AHEAD && this.#asked < this.#end) this.#ask()
      const next = this.#coming.shift()
      if (next !== undefined) return { done: false, value: await this.#orAborted(next) }
      await this.#orAborted(this.#checkSame())
      this.destroy()
      return { done: true, value: undefined }
    } catch (error) {
      this.destroy()
      throw this.#signal.aborted ? this.#signal.reason : sftpError(error, this.#file.url)
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.destroy()
    return { done: true, value: undefined }
  }

  destroy(): void {
    if (this.#closed) return
    this.#closed = true
    this.#coming.length = 0
    this.#signal.removeEventListener('abort', this.#abort)
    closeFile(this.#file)
  }

  readonly #abort = (): void => {
    this.destroy()
    this.#giveUp?.(this.#signal.reason)
  }

  /** No Promise.race: the reason of an abort would keep every chunk that ever came. */
  #orAborted<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject
      promise.then(resolve, reject)
    })
  }

  #ask(): void {
    const length = Math.min(CHUNK_BYTES, this.#end - this.#asked)
    const chunk = this.#read(this.#asked, length)
    chunk.catch(() => undefined) // told when its turn comes
    this.#coming.push(chunk)
    this.#asked += length
  }

  /** A server may send less than it was asked for, and may not end before. */
  async #read(start: number, length: number): Promise<Uint8Array> {
    const { lease, handle, url } = this.#file
    const target = Buffer.allocUnsafeSlow(length)
    for (let at = 0; at < length; ) {
      const bytes = await lease.session.call<number>((sftp, done) =>
        sftp.read(handle, target, at, length - at, start + at, done),
      )
      if (bytes === 0) throw changed(url)
      at += bytes
    }
    return target
  }

  /** Somebody may have written to the file meanwhile. */
  async #checkSame(): Promise<void> {
    const { lease, handle, stats, url } = this.#file
    const now = await lease.session.call<Stats>((sftp, done) => sftp.fstat(handle, done))
    if (now.size !== stats.size || now.mtime !== stats.mtime) throw changed(url)
  }
}

/** Nobody waits for it. */
export function closeFile({ lease, handle }: Pick<OpenFile, 'lease' | 'handle'>): void {
  lease.session
    .call<void>((sftp, done) => sftp.close(handle, (error) => done(error, undefined)))
    .catch(() => undefined)
    .finally(() => lease[Symbol.dispose]())
}
