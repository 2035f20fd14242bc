import { type ByteSink, Failure, formatBytes } from '#core'

const SPACE_BYTES = 256 * 2 ** 10

/** What is compared byte by byte stands in memory; what is larger has checks of its own. */
export const LARGEST_COMPARED_BYTES = 256 * 2 ** 20

export interface CollectingSink extends ByteSink {
  readonly count: number
  /** Everything given so far, but no more than `mostBytes`. */
  bytes(): Uint8Array
}

/** Keeps what it is given, and tells `onEnough` once `mostBytes` have come. What comes later is let fall. */
export function collectingSink(mostBytes = Number.POSITIVE_INFINITY, onEnough: () => void = tooLarge): CollectingSink {
  const chunks: Uint8Array[] = []
  const scratch = new Uint8Array(SPACE_BYTES)
  let count = 0
  return {
    space: () => scratch.subarray(0, Math.max(1, Math.min(SPACE_BYTES, mostBytes - count))),
    filled(length) {
      if (count < mostBytes) chunks.push(scratch.slice(0, length))
      count += length
      if (count >= Math.min(mostBytes, LARGEST_COMPARED_BYTES)) onEnough()
      return true
    },
    drained: () => Promise.resolve(),
    full: false,
    get count() {
      return count
    },
    bytes: () => new Uint8Array(Buffer.concat(chunks)),
  }
}

function tooLarge(): never {
  const limit = formatBytes(LARGEST_COMPARED_BYTES)
  throw new Failure(
    'usage.invalid',
    `the resource is too large to be compared byte by byte: name one of less than ${limit} with --url, and this one with --huge-url`,
  )
}

export interface RestingSink extends ByteSink {
  readonly count: number
  /** Takes more again. */
  goOn(): void
}

/** Counts what it is given, and from `restAtBytes` on takes nothing more: `onRest` is told once. */
export function restingSink(restAtBytes: number, onRest: () => void): RestingSink {
  const scratch = new Uint8Array(SPACE_BYTES)
  let count = 0
  let goOn: () => void = () => undefined
  const woken = new Promise<void>((resolve) => (goOn = resolve))
  return {
    space: () => scratch,
    filled(length) {
      const before = count
      count += length
      if (before < restAtBytes && count >= restAtBytes) onRest()
      return count < restAtBytes
    },
    drained: () => (count < restAtBytes ? Promise.resolve() : woken),
    full: false,
    get count() {
      return count
    },
    goOn,
  }
}
