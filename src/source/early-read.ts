import type { ByteSink } from '#core'
import { orAbort } from './abort.ts'
import { LateSink } from './late-sink.ts'
import type { Answer, ReadOptions, ReadRequest, ReadResult, Resource, Source } from './source.ts'
import { sameVersion } from './validators.ts'

/**
 * A read of a whole resource that has begun before it is known where its bytes belong: its answer describes the
 * resource, so that one request does for both. Dispose of it, or the origin waits.
 */
export interface EarlyRead extends Disposable {
  readonly resource: Resource
  /** The same source, but its first read of the whole goes on with what has begun. */
  readonly source: Source
}

/**
 * Begins a read where the source answers for both; `atFirst` is as in ReadOptions, and then for who goes on to say as
 * well. Undefined where it does not, or where the answer leaves out what a
 * description has to tell: then ask for one. Fails as `describe` does, but after one try.
 */
export async function beginRead(
  source: Source,
  request: ReadRequest,
  signal: AbortSignal,
  atFirst?: number,
): Promise<EarlyRead | undefined> {
  if (!source.readsDescribe) return undefined
  const early = new BegunRead(source, request, atFirst)
  try {
    const answer = await orAbort(early.answered, signal)
    if (answer.totalLength !== undefined) return early
    early[Symbol.dispose]()
    return undefined
  } catch (error) {
    early[Symbol.dispose]()
    throw error
  }
}

class BegunRead implements EarlyRead {
  readonly source: Source
  readonly answered: Promise<Answer>
  readonly #inner: Source
  readonly #request: ReadRequest
  readonly #atFirst: number | undefined
  readonly #sink = new LateSink()
  readonly #stop = new AbortController()
  readonly #reading: Promise<ReadResult>
  #answer: Answer | undefined
  #left = false

  constructor(source: Source, request: ReadRequest, atFirst: number | undefined) {
    this.#inner = source
    this.#request = request
    this.#atFirst = atFirst
    this.source = { ...source, read: (asked, sink, options) => this.#read(asked, sink, options) }
    const { signal } = this.#stop
    let reading: Promise<ReadResult> | undefined
    this.answered = new Promise((resolve, reject) => {
      const onAnswer = (answer: Answer): void => resolve((this.#answer = answer))
      const options = { signal, impatient: true, onAnswer, ...(atFirst === undefined ? {} : { atFirst }) }
      reading = source.read(request, this.#sink, options)
      reading.catch(reject)
    })
    this.answered.catch(() => undefined)
    this.#reading = reading ?? Promise.reject(new Error('no read has begun'))
    this.#reading.catch(() => undefined) // told to who goes on with it
  }

  get resource(): Resource {
    const { totalLength, supportsRange, expireInfo, headers = {}, digest } = this.#answer ?? NO_ANSWER
    return {
      contentLength: totalLength,
      supportsRange,
      expireInfo,
      headers,
      ...(digest === undefined ? {} : { digest }),
    }
  }

  [Symbol.dispose](): void {
    if (this.#left) return
    this.#left = true
    this.#stop.abort()
  }

  #read(request: ReadRequest, sink: ByteSink, options: ReadOptions): Promise<ReadResult> {
    const answer = this.#answer
    if (answer === undefined || this.#left || !this.#fits(request, options, answer)) {
      return this.#inner.read(request, sink, options)
    }
    this.#left = true
    return this.#goOn(sink, options, answer)
  }

  #fits({ url }: ReadRequest, { range, ifMatch, wholeBytes, atFirst }: ReadOptions, answer: Answer): boolean {
    const sameEnd = answer.part === undefined || atFirst === this.#atFirst
    const expected = sameEnd && (wholeBytes === undefined || wholeBytes === answer.totalLength)
    return (
      url === this.#request.url &&
      range === undefined &&
      expected &&
      sameVersion(ifMatch ?? {}, answer.expireInfo) !== false
    )
  }

  async #goOn(sink: ByteSink, options: ReadOptions, answer: Answer): Promise<ReadResult> {
    const { signal } = options
    const stop = (): void => this.#stop.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    try {
      options.onAnswer?.(answer)
      this.#sink.attach(sink)
      const result = await this.#reading
      await this.#sink.flush()
      return result
    } catch (error) {
      this.#stop.abort(error)
      throw error
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}

const NO_ANSWER: Answer = { totalLength: undefined, supportsRange: undefined, expireInfo: {} }
