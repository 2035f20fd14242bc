import { Failure } from '#core'

interface DraftBlock {
  readonly digest: Uint8Array
  readonly written: Promise<void>
}

/**
 * A piece that is not held yet. All who write it at the same time share its draft, so that no one writes over bytes
 * which another is going to count on.
 */
export class Draft {
  readonly number: number
  /** How many are writing it. */
  writers = 0
  readonly #blocks = new Map<number, DraftBlock>()
  #kept: Promise<void> | undefined

  constructor(number: number) {
    this.number = number
  }

  /** Set once somebody has brought the whole piece: what else comes is not needed. Resolves when it is held. */
  get kept(): Promise<void> | undefined {
    return this.#kept
  }

  /**
   * Sees that a block gets to disk, once. Of two that differ, the one that was checked against a record wins; between
   * two unchecked ones the first stays, and the other is `piece.corrupt`. Resolves when the block is written.
   */
  put(index: number, digest: Uint8Array, checked: boolean, write: () => Promise<void>): Promise<void> {
    const other = this.#blocks.get(index)
    if (other !== undefined && sameBytes(other.digest, digest)) return other.written
    if (other !== undefined && !checked) {
      return Promise.reject(
        new Failure('piece.corrupt', `block ${index} of piece ${this.number} came with other bytes from somebody else`),
      )
    }
    const written = other === undefined ? write() : other.written.catch(() => undefined).then(write)
    const block = { digest, written }
    this.#blocks.set(index, block)
    written.catch(() => {
      if (this.#blocks.get(index) === block) this.#blocks.delete(index)
    })
    return written
  }

  /**
   * Lets the first who brings the whole piece `store` it; whoever comes later waits for that. `piece.corrupt` when the
   * blocks on disk are another's, checked ones.
   */
  keep(digests: readonly Uint8Array[], store: () => Promise<void>): Promise<void> {
    if (this.#kept !== undefined) return this.#kept
    for (const [index, digest] of digests.entries()) {
      const block = this.#blocks.get(index)
      if (block === undefined || !sameBytes(block.digest, digest)) {
        return Promise.reject(
          new Failure('piece.corrupt', `piece ${this.number} came with other bytes from somebody else`),
        )
      }
    }
    this.#kept = store()
    this.#kept.catch(() => (this.#kept = undefined))
    return this.#kept
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
