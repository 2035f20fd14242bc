/** A bounded number of buffers of one size. Whoever comes when all are taken waits for the next that is given back. */
export class Buffers {
  readonly bufferBytes: number
  readonly #max: number
  readonly #free: Uint8Array[] = []
  readonly #waiting: ((buffer: Uint8Array) => void)[] = []
  #made = 0

  constructor(bufferBytes: number, max: number) {
    this.bufferBytes = bufferBytes
    this.#max = max
  }

  /** True while somebody waits. */
  get scarce(): boolean {
    return this.#waiting.length > 0
  }

  take(): Promise<Uint8Array> {
    const free = this.#free.pop() ?? this.#make()
    return free === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(free)
  }

  give(buffer: Uint8Array): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(buffer)
    else next(buffer)
  }

  #make(): Uint8Array | undefined {
    if (this.#made >= this.#max) return undefined
    this.#made += 1
    return Buffer.allocUnsafeSlow(this.bufferBytes)
  }
}
