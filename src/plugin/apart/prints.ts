import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { formatBytes } from '#core'
import { oneLine } from '../one-line.ts'

/** What a plugin may print in a window of time; the rest is read, so that it does not wait, and thrown away. */
const WINDOW_MS = 10_000
const WINDOW_BYTES = 32 * 1024

/** Hands on what a plugin prints, line by line and not too much of it. */
export class Prints {
  readonly #print: (line: string) => void
  readonly #scrub: (text: string) => string
  #windowEndsAt = 0
  #windowBytes = 0
  #droppedBytes = 0

  /** A line is scrubbed of secrets before it is cut short: a part of one would not be known again. */
  constructor(print: (line: string) => void, scrub: (text: string) => string) {
    this.#print = print
    this.#scrub = scrub
  }

  /** Reads a stream to its end. */
  follow(stream: Readable): void {
    let rest = ''
    const decoder = new StringDecoder()
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => {
      if (!this.#hasRoom(chunk.length)) {
        rest = ''
        return
      }
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop() ?? '' // no longer than what has room in a window
      for (const line of lines) this.#tell(line)
    })
    const tellRest = (): void => {
      this.#tell(rest)
      rest = ''
      this.#tellDropped()
    }
    stream.on('end', tellRest).on('close', tellRest) // the latter alone, when it was cut off
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
    const text = oneLine(this.#scrub(line))
    if (text !== '') this.#print(text)
  }

  #tellDropped(): void {
    if (this.#droppedBytes > 0) this.#print(`(${formatBytes(this.#droppedBytes)} more were printed and are left out)`)
    this.#droppedBytes = 0
  }
}
