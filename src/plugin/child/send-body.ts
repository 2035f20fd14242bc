import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { types } from 'node:util'
import { closeIterator, kindOf } from '#source'
import { encodeHeader, FRAME } from '../apart/frames.ts'
import { writeAll } from './write-all.ts'

/** Longer chunks go in several frames: the length of a frame has four bytes. */
const LARGEST_FRAME_BYTES = 64 * 2 ** 20
/** Chunks may come without ever waiting for anything: after so many, a ping or a hang-up has its turn. */
const CHUNKS_PER_TURN = 64
const MOST_EMPTY_CHUNKS = 10_000

/**
 * Sends the head of an answer and its body, chunk by chunk: the next chunk is asked for when the last one has left this
 * process. Ends with the `end` frame, or throws what the body throws.
 */
export async function sendBody(
  socket: Socket,
  head: Buffer,
  body: Uint8Array | AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<void> {
  if (types.isUint8Array(body)) return writeAll(socket, [head, ...framesOf(body), encodeHeader(FRAME.end, 0)])
  const iterator = body[Symbol.asyncIterator]()
  const { hungUp, forget } = untilAbort(signal)
  try {
    await writeAll(socket, [head])
    // One race for the whole body: a race for each chunk would keep all of them, as long as the host does not hang up.
    await Promise.race([sendChunks(socket, iterator), hungUp])
  } catch (error) {
    closeIterator(iterator)
    throw error
  } finally {
    forget()
  }
  await writeAll(socket, [encodeHeader(FRAME.end, 0)])
}

async function sendChunks(socket: Socket, iterator: AsyncIterator<unknown>): Promise<void> {
  let empty = 0
  for (let come = 1; ; come++) {
    if (come % CHUNKS_PER_TURN === 0) await turn()
    const next = await iterator.next()
    if (next.done === true) return
    const chunk: unknown = next.value
    if (!types.isUint8Array(chunk)) throw new Error(`a chunk of the body is ${kindOf(chunk)}, expected a Uint8Array`)
    empty = chunk.length === 0 ? empty + 1 : 0
    if (empty > MOST_EMPTY_CHUNKS) throw new Error('the body goes on without a byte')
    if (chunk.length > 0) await writeAll(socket, framesOf(chunk))
  }
}

/** Rejects when the host hangs up: a body may never give its next chunk. */
function untilAbort(signal: AbortSignal): { readonly hungUp: Promise<never>; readonly forget: () => void } {
  let onAbort = (): void => undefined
  const hungUp = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error('nobody listens any more'))
    signal.addEventListener('abort', onAbort, { once: true })
  })
  hungUp.catch(() => undefined)
  return { hungUp, forget: () => signal.removeEventListener('abort', onAbort) }
}

function framesOf(chunk: Uint8Array): Uint8Array[] {
  if (chunk.length === 0) return []
  if (chunk.length <= LARGEST_FRAME_BYTES) return [encodeHeader(FRAME.bytes, chunk.length), chunk]
  return [...framesOf(chunk.subarray(0, LARGEST_FRAME_BYTES)), ...framesOf(chunk.subarray(LARGEST_FRAME_BYTES))]
}
