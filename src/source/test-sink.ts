import type { ByteSink } from '#core'

export interface TestSink extends ByteSink {
  /** Everything given so far. */
  readonly bytes: Buffer
}

export interface TestSinkOptions {
  /** Full after so many bytes. */
  readonly capacity?: number
  /** Length of the next space; asked once per space. */
  readonly spaceBytes?: () => number
  /** How long the sink wants to rest after a read; undefined: not at all. */
  readonly restMs?: () => number | undefined
}

/**
 * Collects what it is given, and behaves as the contract of ByteSink allows at its worst: its memory is used again as
 * soon as `filled` was called, and overwritten with rubbish, so that whoever writes at the wrong time or place is found out.
 */
export function testSink(options: TestSinkOptions = {}): TestSink {
  const { capacity = Number.POSITIVE_INFINITY, spaceBytes = () => 64 * 1024, restMs = () => undefined } = options
  const chunks: Buffer[] = []
  let given = 0
  let space: Buffer | undefined
  let resting: Promise<void> | undefined
  const next = (): Buffer => Buffer.alloc(Math.max(1, Math.min(spaceBytes(), capacity - given)), 0xee)
  return {
    space() {
      if (given === capacity) return new Uint8Array(0)
      space ??= next()
      return space
    },
    filled(length) {
      if (space === undefined || length > space.length) throw new Error(`${length} bytes were never given space`)
      if (resting !== undefined) throw new Error('filled while resting')
      chunks.push(Buffer.from(space.subarray(0, length)))
      space.fill(0xdd)
      space = undefined
      given += length
      const ms = restMs()
      if (ms === undefined) return true
      resting = new Promise((resolve) => setTimeout(resolve, ms)).then(() => void (resting = undefined))
      return false
    },
    drained: () => resting ?? Promise.resolve(),
    get full() {
      return given >= capacity
    },
    get bytes() {
      return Buffer.concat(chunks)
    },
  }
}
