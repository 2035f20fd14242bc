import { setImmediate as turn } from 'node:timers/promises'
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
   * aborts, and does not touch the sink after it settled. `bytes` is what the body must have, where that is known: a
   * body that has more fails before the last of them was given.
   */
  pour(sink: ByteSink, bytes?: number): Promise<number>
}

/** Chunks may come without ever waiting for anything: after so many, timers and signals have their turn. */
const CHUNKS_PER_TURN = 256
const MOST_EMPTY_CHUNKS = 10_000

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
  const ours = context.inTree || context.apart === true
  const given =
    ours && isPourable(body) ? await body.pour(sink, bytes) : await pourChunks(body, bytes, sink, context, signal)
  if (bytes !== undefined && given < bytes && !sink.full) {
    throw brokenAnswer(`the body ended after ${given} of ${bytes} bytes`, context)
  }
  return given
}

/**
 * The last byte of a length that is known is held back until the body has ended: a sink makes lasting things of what
 * it was given. Where no length is known, a full sink says it, and the body must end there too.
 */
async function pourChunks(
  body: AsyncIterable<unknown>,
  bytes: number | undefined,
  sink: ByteSink,
  context: FailureContext,
  signal: AbortSignal,
): Promise<number> {
  const iterator = body[Symbol.asyncIterator]()
  let given = 0
  let heldBack = new Uint8Array(0)
  let ended = false
  const tooLong = (expected: string): Error => brokenAnswer(`the body has more than ${expected}`, context)
  try {
    const chunks = watchedChunks(iterator, context, signal)
    while (!sink.full || bytes === undefined || given === bytes) {
      const chunk = await chunks()
      ended = chunk === undefined
      if (chunk === undefined) break
      const come = given + heldBack.length + chunk.length
      if (bytes !== undefined && come > bytes) throw tooLong(`the ${bytes} bytes announced`)
      const now = come === bytes ? chunk.subarray(0, -1) : chunk
      if (now !== chunk) heldBack = Uint8Array.from(chunk.subarray(-1))
      const taken = await fill(sink, now)
      given += taken
      if (bytes === undefined && taken < now.length) throw tooLong(`${given} bytes`)
    }
    return given + (await fill(sink, heldBack))
  } finally {
    if (!ended) closeIterator(iterator)
  }
}

/** The next chunk that has bytes, or undefined at the end. */
function watchedChunks(
  iterator: AsyncIterator<unknown>,
  context: FailureContext,
  signal: AbortSignal,
): () => Promise<Uint8Array | undefined> {
  let come = 0
  return async () => {
    for (let empty = 0; empty < MOST_EMPTY_CHUNKS; empty++) {
      if (++come % CHUNKS_PER_TURN === 0) await turn()
      const next = await orAbort(iterator.next(), signal)
      if (next.done === true) return undefined
      const chunk = checkChunk(next.value, context)
      if (chunk.length > 0) return chunk
    }
    throw brokenAnswer(`the body gave ${MOST_EMPTY_CHUNKS} empty chunks in a row`, context)
  }
}

function checkChunk(chunk: unknown, context: FailureContext): Uint8Array {
  if (types.isUint8Array(chunk)) return chunk
  throw brokenAnswer(`a chunk of the body is ${kindOf(chunk)}, expected a Uint8Array`, context)
}

/** True for bodies that pour themselves. A stranger's object can look like one: ask only of our own. */
export function isPourable(body: object): body is PourableBody {
  return typeof (body as { pour?: unknown }).pour === 'function'
}
