export interface Tell {
  warn(message: string): void
  note(message: string): void
}

/** Beyond so many kinds nothing is told: an evaluator chooses the codes that its process exits with. */
const MOST_KINDS = 20

/** What goes wrong with one state of an evaluator: the first is a warning, other kinds a note each, and no more. */
export class Troubles {
  readonly #tell: Tell
  readonly #kinds = new Set<string>()

  constructor(tell: Tell) {
    this.#tell = tell
  }

  tell(kind: string, message: string): void {
    if (this.#kinds.has(kind) || this.#kinds.size >= MOST_KINDS) return
    this.#kinds.add(kind)
    if (this.#kinds.size > 1) this.#tell.note(message)
    else
      this.#tell.warn(
        `${message}; the scheduler ranks parents itself where the evaluator does not, and counts it; no more warnings until the file is replaced`,
      )
  }
}
