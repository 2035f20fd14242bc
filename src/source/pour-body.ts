import { types } from 'node:util'
import { type ByteSink, fill } from '#core'
import { orAbort } from './abort.ts'
import { type CheckedResponse, kindOf } from './check-response.ts'
import { closeIterator } from './close-body.ts'
import { brokenAnswer, type FailureContext } from './source-failure.ts'

/** A body of our own that puts its bytes into a sink by itself, without handing chunks around. */
export interface PourableBody {
  /**
   * Gives all bytes, or as many as the sink takes; resolves to their number. Settles soon after the request's signal
   * aborts, and does not touch the sink after it settled.
   */
  pour(sink: ByteSink): Promise<number>
}

/**
 * Gives a body to a sink at the sink's pace: the next chunk is asked for when the last one was taken. Resolves to the
 * number of bytes given; fails with `source.broken` when the body has another length than was announced.
 */
export async function pourBody(
  { body, bytes }: CheckedResponse,
  sink: ByteSink,
  context: FailureContext,
  signal: AbortSignal,
): Promise<number> {
  if (types.isUint8Array(body)) return fill(sink, body)
  const given =
    context.inTree && isPourable(body) ? await body.pour(sink) : await pourChunks(body, bytes, sink, context, signal)
  if (bytes !== undefined && given < bytes && !sink.full) {
    throw brokenAnswer(`the body ended after ${given} of ${bytes} bytes`, context)
  }
  return given
}

async function pourChunks(
  body: AsyncIterable<unknown>,
  bytes: number | undefined,
  sink: ByteSink,
  context: FailureContext,
  signal: AbortSignal,
): Promise<number> {
  const iterator = body[Symbol.asyncIterator]()
  let given = 0
  let ended = false
  try {
    // With all bytes given, one more look tells a body that is too long.
    while (!sink.full || given === bytes) {
      const next = await orAbort(iterator.next(), signal)
      ended = next.done === true
      if (ended) break
      const chunk = checkChunk(next.value, context)
      if (bytes !== undefined && given + chunk.length > bytes) {
        throw brokenAnswer(`the body has more than the ${bytes} bytes announced`, context)
      }
      given += await fill(sink, chunk)
    }
    return given
  } finally {
    if (!ended) closeIterator(iterator)
  }
}

function checkChunk(chunk: unknown, context: FailureContext): Uint8Array {
  if (types.isUint8Array(chunk)) return chunk
  throw brokenAnswer(`a chunk of the body is ${kindOf(chunk)}, expected a Uint8Array`, context)
}

function isPourable(body: object): body is PourableBody {
  return typeof (body as { pour?: unknown }).pour === 'function'
}
