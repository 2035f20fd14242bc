/**
 * Takes bytes straight from where they arrive, without a copy in between: the giver fills the space it is handed.
 * One giver at a time. What is not held in whole pieces when the giver leaves is thrown away.
 */
export interface ByteSink {
  /**
   * Where the next bytes belong; never empty while the sink is not `full`. Valid until the next call of `filled`.
   * Also after `filled` said false there is space for one more read.
   */
  space(): Uint8Array
  /**
   * `length` bytes now stand at the start of `space()`. False asks the giver to wait for `drained()` before it reads
   * more. Throws `piece.corrupt` when a finished block is not what was expected, `storage.*` when it cannot be kept.
   */
  filled(length: number): boolean
  /** Resolves when the sink wants more; rejects when writing failed. */
  drained(): Promise<void>
  /** Every byte that this sink can take has been given. */
  readonly full: boolean
}

/** Copies a chunk of any size into a sink, at the sink's pace. Bytes beyond a full sink are left: the count taken is returned. */
export async function fill(sink: ByteSink, chunk: Uint8Array): Promise<number> {
  let taken = 0
  while (taken < chunk.length && !sink.full) {
    const space = sink.space()
    const part = chunk.subarray(taken, taken + space.length)
    space.set(part)
    taken += part.length
    if (!sink.filled(part.length)) await sink.drained()
  }
  return taken
}
