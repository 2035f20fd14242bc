export interface SilenceTimes {
  /** Silence after which `silent` is told. */
  readonly silentMs: number
  silent(): void
  /** The silence has lasted for as long as it may. */
  late(): void
}

/** Tells when nothing was heard for too long, with one timer however much is heard. */
export class SilenceWatch {
  readonly #times: SilenceTimes
  #longestMs = 0
  #heardAt = 0
  #told = false
  #paused = false
  #timer: NodeJS.Timeout | undefined

  constructor(times: SilenceTimes) {
    this.#times = times
  }

  /** Watches from now on; `late` is told after `longestMs`. */
  start(longestMs: number): void {
    this.#longestMs = longestMs
    this.#told = false
    this.#heardAt = performance.now()
    this.#arm(this.#patienceMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  heard(): void {
    this.#heardAt = performance.now()
    if (!this.#told) return
    this.#told = false
    if (this.#timer !== undefined) this.#arm(this.#patienceMs)
  }

  /** Nothing can be heard meanwhile, and that is not the other side's fault. */
  pause(paused: boolean): void {
    this.#paused = paused
    this.heard()
  }

  get #patienceMs(): number {
    return this.#told ? this.#longestMs : Math.min(this.#times.silentMs, this.#longestMs)
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), ms)
  }

  #look(): void {
    const left = this.#left()
    if (left > 0) return this.#arm(left)
    // This process may have been busy for all that time: what came meanwhile is read first.
    const timer = this.#timer
    setImmediate(() => {
      if (this.#timer === timer) this.#tell()
    })
  }

  #tell(): void {
    const left = this.#left()
    if (left > 0) return this.#arm(left)
    if (performance.now() - this.#heardAt >= this.#longestMs) {
      this.stop()
      return this.#times.late()
    }
    this.#told = true
    this.#arm(this.#left())
    this.#times.silent()
  }

  /** Milliseconds of silence until there is something to tell. */
  #left(): number {
    const now = performance.now()
    if (this.#paused) this.#heardAt = now
    return this.#heardAt + this.#patienceMs - now
  }
}
