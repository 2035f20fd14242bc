/** How a task is cut: pieces, and in them the units that are asked for one by one (blocks, or whole pieces). */
export interface Shape {
  /** Bytes. */
  readonly pieceLength: number
  /** Bytes; the last unit of a piece may be shorter. */
  readonly unitLength: number
  /** Bytes; undefined until known. */
  readonly contentLength: number | undefined
}

/** Some units of one piece, next to one another. */
export interface Run {
  readonly piece: number
  /** Index of its first unit in the piece. */
  readonly first: number
  readonly count: number
}

/** Numbers all units of a task, piece by piece. Every piece has the same number of them but the last. */
export class Units {
  readonly perPiece: number
  /** All there are; undefined while the content length is unknown. */
  readonly total: number | undefined
  readonly #shape: Shape

  constructor(shape: Shape) {
    const { contentLength, pieceLength, unitLength } = shape
    this.#shape = shape
    this.perPiece = Math.ceil(pieceLength / unitLength)
    if (contentLength === undefined) return
    const whole = Math.floor(contentLength / pieceLength)
    this.total = whole * this.perPiece + Math.ceil((contentLength - whole * pieceLength) / unitLength)
  }

  /** Units of a piece, as far as is known. */
  inPiece(piece: number): number {
    if (this.total === undefined) return this.perPiece
    return Math.max(0, Math.min(this.perPiece, this.total - piece * this.perPiece))
  }

  pieceOf(unit: number): number {
    return Math.floor(unit / this.perPiece)
  }

  /** Bytes of a run. */
  bytesOf({ piece, first, count }: Run): number {
    const { contentLength = Number.POSITIVE_INFINITY, pieceLength, unitLength } = this.#shape
    const start = piece * pieceLength + first * unitLength
    const end = Math.min(piece * pieceLength + Math.min((first + count) * unitLength, pieceLength), contentLength)
    return end - start
  }
}
