import { Blake3Hasher } from '@napi-rs/blake-hash'
import { type ByteRange, type ByteSink, Failure, rangeLength } from '#core'
import { redactUrl } from './redact-url.ts'
import type { Answer, ReadOptions, ReadRequest } from './source.ts'
import { areStrong, sameVersion } from './validators.ts'

const SKIP_BYTES = 64 * 1024

/** The next try of a read: what to ask for, and where its bytes go. */
export interface Try {
  readonly sink: ByteSink
  readonly options: ReadOptions
}

/**
 * How far a read has come, and how to go on from there without ever joining two versions of a resource.
 *
 * What has strong validators, a length and ranges is resumed where it broke, on condition that the validators are the
 * same. Everything else is read again from the start: the bytes that were given already are left out, but only after
 * their BLAKE3 proved them the same as the first time. So no byte is ever given that a whole reading of the resource,
 * as it is now, would not have given at that place.
 */
export class ReadProgress {
  /** Bytes given to the sink so far. */
  given = 0
  first: Answer | undefined
  /** Digests what is given, for as long as it may have to be proved the same. */
  #digest: Blake3Hasher | undefined
  /** Bytes that this try has still to leave out. */
  #toSkip = 0
  readonly #request: ReadRequest
  readonly #sink: ByteSink
  readonly #options: ReadOptions

  constructor(request: ReadRequest, sink: ByteSink, options: ReadOptions) {
    this.#request = request
    this.#sink = sink
    this.#options = options
  }

  /** Every byte asked for was given; nothing is left to be read again. */
  get complete(): boolean {
    const length = this.#length()
    return this.#sink.full || (length !== undefined && this.given >= length)
  }

  next(): Try {
    const onAnswer = (answer: Answer): void => this.#answered(answer)
    const ifMatch = { ...this.#options.ifMatch, ...this.first?.expireInfo }
    const options = { ...this.#options, ifMatch, onAnswer }
    const rest = this.#rest()
    this.#toSkip = 0
    if (this.given === 0) return { sink: this.#counted(), options }
    if (this.#digest === undefined && rest !== undefined) {
      return { sink: this.#counted(), options: { ...options, range: rest } }
    }
    return { sink: this.#skipping(), options }
  }

  /** Bytes of this read, where they are known. */
  #length(): number | undefined {
    const range = this.#options.range ?? this.first?.part
    return range === undefined ? this.first?.totalLength : rangeLength(range)
  }

  /** What is still to come, as a range. */
  #rest(): ByteRange | undefined {
    const length = this.#length()
    const start = this.#options.range?.start ?? 0
    return length === undefined ? undefined : { start: start + this.given, end: start + length - 1 }
  }

  #answered(answer: Answer): void {
    const { first } = this
    if (first === undefined) {
      this.first = answer
      this.#options.onAnswer?.(answer)
      const resumable = answer.supportsRange === true && areStrong(answer.expireInfo) && this.#length() !== undefined
      if (!resumable) this.#digest = new Blake3Hasher()
      return
    }
    const { totalLength } = first
    const otherLength =
      totalLength !== undefined && answer.totalLength !== undefined && totalLength !== answer.totalLength
    const same = sameVersion(first.expireInfo, answer.expireInfo)
    if (otherLength || same === false) throw this.#changed()
    const proved = same === true || this.#digest !== undefined || this.given === 0
    if (!proved) throw this.#cannotResume('the rest comes without the validators of the first part')
  }

  /** A read that went well is one only when it got past what was given before. */
  checkEnd(): void {
    if (this.#toSkip > 0) throw this.#changed()
  }

  /** What an origin may say of a first request, but makes another failure of a second one for the rest. */
  rejectLateRefusal(error: unknown): void {
    if (!(error instanceof Failure)) return
    if (error.code === 'source.range_invalid' || error.code === 'source.not_supported') {
      throw this.#cannotResume(error.message)
    }
  }

  #changed(): Failure {
    return new Failure('source.changed', `${redactUrl(this.#request.url)} changed at the origin while it was read`)
  }

  #cannotResume(reason: string): Failure {
    const where = `${redactUrl(this.#request.url)} broke off after ${this.given} bytes`
    return new Failure('source.broken', `${where} and cannot be resumed: ${reason}`)
  }

  #filled(length: number): boolean {
    this.#digest?.update(this.#sink.space().subarray(0, length))
    this.given += length
    return this.#sink.filled(length)
  }

  #counted(): ByteSink {
    const sink = this.#sink
    return {
      space: () => sink.space(),
      filled: (length) => this.#filled(length),
      drained: () => sink.drained(),
      get full() {
        return sink.full
      },
    }
  }

  /** Takes what was given already, proves it the same, and from then on gives the rest to the sink. */
  #skipping(): ByteSink {
    const sink = this.#counted()
    const buffer = new Uint8Array(SKIP_BYTES)
    const again = new Blake3Hasher()
    this.#toSkip = this.given
    const left = (): number => this.#toSkip
    return {
      space: () => (left() > 0 ? buffer.subarray(0, Math.min(left(), SKIP_BYTES)) : sink.space()),
      filled: (length) => {
        if (left() === 0) return sink.filled(length)
        again.update(buffer.subarray(0, length))
        this.#toSkip -= length
        if (left() === 0 && this.#digest?.digest() !== again.digest()) throw this.#changed()
        return true
      },
      drained: async () => (left() > 0 ? undefined : sink.drained()),
      get full() {
        return left() === 0 && sink.full
      },
    }
  }
}
