import { BLOCK_LENGTH } from '#core'

/** 32 MiB: what is passed on in a swarm is what came a moment ago. */
const MOST = 64
const MAX_AGE_MS = 5000

/** Which parts of a file were written a moment ago: the kernel has them in memory, reading them waits for no disk. */
export class FreshBlocks {
  /** When each was written, by its number; the oldest first. */
  readonly #written = new Map<number, number>()

  wrote(offset: number, length: number): void {
    const nowMs = performance.now()
    for (let block = blockAt(offset); block <= blockAt(offset + length - 1); block++) {
      this.#written.delete(block)
      this.#written.set(block, nowMs)
    }
    for (const block of this.#written.keys()) {
      if (this.#written.size <= MOST) return
      this.#written.delete(block)
    }
  }

  has(offset: number, length: number): boolean {
    if (length === 0) return false
    const sinceMs = performance.now() - MAX_AGE_MS
    for (let block = blockAt(offset); block <= blockAt(offset + length - 1); block++) {
      if ((this.#written.get(block) ?? Number.NEGATIVE_INFINITY) < sinceMs) return false
    }
    return true
  }
}

function blockAt(offset: number): number {
  return Math.floor(offset / BLOCK_LENGTH)
}
