import type { Readable } from 'node:stream'
import { formatBytes } from '#core'
import { oneLine } from '../one-line.ts'

/** What a plugin may print in a window of time; the rest is read, so that it does not wait, and thrown away. */
const WINDOW_MS = 10_000
const WINDOW_BYTES = 32 * 1024
const LONGEST_LINE_CHARS = 2000

/** Hands on what a plugin prints, line by line and not too much of it. */
export class Prints {
  readonly #print: (line: string) => void
  #windowEndsAt = 0
  #windowBytes = 0
  #droppedBytes = 0

  constructor(print: (line: string) => void) {
    this.#print = print
  }

  /** Reads a stream to its end. */
  follow(stream: Readable): void {
    let rest = ''
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => {
      if (!this.#hasRoom(chunk.length)) {
        rest = ''
        return
      }
      const lines = (rest + chunk.toString()).split('\n')
      rest = (lines.pop() ?? '').slice(0, LONGEST_LINE_CHARS)
      for (const line of lines) this.#tell(line)
    })
    stream.on('end', () => {
      this.#tell(rest)
      this.#tellDropped()
    })
  }

  #hasRoom(bytes: number): boolean {
    const now = performance.now()
    if (now > this.#windowEndsAt) {
      this.#tellDropped()
      this.#windowEndsAt = now + WINDOW_MS
      this.#windowBytes = 0
    }
    this.#windowBytes += bytes
    if (this.#windowBytes <= WINDOW_BYTES) return true
    this.#droppedBytes += bytes
    return false
  }

  #tell(line: string): void {
    const text = oneLine(line)
    if (text !== '') this.#print(text)
  }

  #tellDropped(): void {
    if (this.#droppedBytes > 0) this.#print(`(${formatBytes(this.#droppedBytes)} more were printed and are left out)`)
    this.#droppedBytes = 0
  }
}
