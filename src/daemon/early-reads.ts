import { Failure } from '#core'
import { beginRead, type EarlyRead, type ReadRequest, type Source } from '#source'

/** What says of an origin that another way of asking may do better. */
const UNCLEAR = new Set(['source.unreachable', 'source.broken', 'source.not_supported', 'source.range_invalid'])

/** Reads that begin with the question what there is to read. Of many who ask for one task, one begins it. */
export class EarlyReads {
  readonly #tasks = new Set<string>()

  /**
   * Begins the read of a task that nothing is known of (`atFirst`: see ReadOptions); undefined where its origin has to be asked in another way.
   * Fails with what the origin says of it.
   */
  async begin(
    taskId: string,
    source: Source,
    request: ReadRequest,
    signal: AbortSignal,
    atFirst?: number,
  ): Promise<EarlyRead | undefined> {
    if (this.#tasks.has(taskId)) return undefined
    this.#tasks.add(taskId)
    let early: EarlyRead | undefined
    try {
      early = await beginRead(source, request, signal, atFirst)
      return early && this.#listed(taskId, early)
    } catch (error) {
      if (signal.aborted || !(error instanceof Failure) || !UNCLEAR.has(error.code)) throw error
      return undefined
    } finally {
      if (early === undefined) this.#tasks.delete(taskId)
    }
  }

  #listed(taskId: string, early: EarlyRead): EarlyRead {
    const { resource, source } = early
    return {
      resource,
      source,
      [Symbol.dispose]: () => {
        this.#tasks.delete(taskId)
        early[Symbol.dispose]()
      },
    }
  }
}
