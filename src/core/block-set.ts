/** Some of the blocks of a piece, as peers tell one another: bit i of byte floor(i / 8) is `1 << (i % 8)`. */
export class BlockSet {
  /** How many blocks the piece has. */
  readonly count: number
  readonly #bytes: Uint8Array
  #size: number

  private constructor(bytes: Uint8Array, count: number, size: number) {
    this.#bytes = bytes
    this.count = count
    this.#size = size
  }

  /** None of `count` blocks. */
  static of(count: number): BlockSet {
    return new BlockSet(new Uint8Array(byteCount(count)), count, 0)
  }

  /** All of `count` blocks. */
  static full(count: number): BlockSet {
    const bytes = new Uint8Array(byteCount(count)).fill(0xff)
    if (count % 8 !== 0) bytes[bytes.length - 1] = strayBits(count) ^ 0xff
    return new BlockSet(bytes, count, count)
  }

  /** What somebody sent, copied. RangeError when it is not a set of `count` blocks: another length, or stray bits. */
  static fromBytes(bytes: Uint8Array, count: number): BlockSet {
    if (bytes.length !== byteCount(count)) {
      throw new RangeError(`${bytes.length} bytes do not tell of ${count} blocks`)
    }
    const last = bytes.at(-1) ?? 0
    if (count % 8 !== 0 && (last & strayBits(count)) !== 0) {
      throw new RangeError(`there are only ${count} blocks, and bits for more`)
    }
    const own = Uint8Array.from(bytes)
    return new BlockSet(own, count, bitsIn(own))
  }

  /** The bits themselves: to be sent, not to be changed. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** How many blocks are in it. */
  get size(): number {
    return this.#size
  }

  get full(): boolean {
    return this.#size === this.count
  }

  /** False also for an index that the piece does not have. */
  has(index: number): boolean {
    if (!(index >= 0 && index < this.count)) return false
    return ((this.#bytes[index >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  /** Again changes nothing. RangeError for an index that the piece does not have. */
  add(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.count) {
      throw new RangeError(`there is no block ${index} of ${this.count}`)
    }
    if (this.has(index)) return
    this.#bytes[index >> 3] = (this.#bytes[index >> 3] ?? 0) | (1 << (index & 7))
    this.#size++
  }

  /** One that goes its own way from now on. */
  copy(): BlockSet {
    return new BlockSet(Uint8Array.from(this.#bytes), this.count, this.#size)
  }
}

function byteCount(count: number): number {
  if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`a piece cannot have ${count} blocks`)
  return Math.ceil(count / 8)
}

/** The bits of the last byte that stand for no block. */
function strayBits(count: number): number {
  return (0xff << (count % 8)) & 0xff
}

function bitsIn(bytes: Uint8Array): number {
  let bits = 0
  for (const byte of bytes) for (let rest = byte; rest > 0; rest &= rest - 1) bits++
  return bits
}
