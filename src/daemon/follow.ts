import type { StoredTask } from '#storage'

/** Bytes of a task in order, each as soon as its piece is held; ends behind `end`, or at the end of the content. */
export async function* follow(
  task: StoredTask,
  range: { start: number; end: number | undefined },
  signal: AbortSignal,
  chunkBytes = 2 ** 20,
): AsyncGenerator<{ offset: number; bytes: Uint8Array }> {
  for await (const run of heldRuns(task, range, signal)) {
    const end = run.offset + run.length
    for (let offset = run.offset; offset < end; ) {
      const target = Buffer.allocUnsafe(Math.min(chunkBytes, end - offset))
      const length = await task.read(offset, target)
      yield { offset, bytes: target.subarray(0, length) }
      offset += length
      signal.throwIfAborted()
    }
  }
}

/** The same without reading them: where the bytes are that can be read now, a piece at a time. */
export async function* heldRuns(
  task: StoredTask,
  range: { start: number; end: number | undefined },
  signal: AbortSignal,
): AsyncGenerator<{ offset: number; length: number }> {
  const { pieceLength } = task.meta
  let offset = range.start
  while (!isPast(offset, range.end, task.contentLength)) {
    const number = Math.floor(offset / pieceLength)
    const piece = task.piece(number) ?? (await nextHeld(task, number, signal))
    if (piece === undefined) continue // the content turned out to end before this piece
    const end = Math.min(piece.offset + piece.length, (range.end ?? Number.POSITIVE_INFINITY) + 1)
    yield { offset, length: end - offset }
    offset = end
  }
}

function isPast(offset: number, end: number | undefined, contentLength: number | undefined): boolean {
  if (end !== undefined && offset > end) return true
  return contentLength !== undefined && offset >= contentLength
}

const LOOK_MS = 100

/** Resolves once piece `number` is held, or with undefined once the content is known to end before it. */
function nextHeld(task: StoredTask, number: number, signal: AbortSignal) {
  return new Promise<ReturnType<StoredTask['piece']>>((resolve, reject) => {
    const settle = (): void => {
      const piece = task.piece(number)
      if (piece === undefined && !(task.pieceCount !== undefined && number >= task.pieceCount)) return
      stop()
      resolve(piece)
    }
    const abort = (): void => {
      stop()
      reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const forget = task.onPiece(settle)
    // That an origin of unknown length turned out to be empty, or to end here, comes with no piece.
    const look = setInterval(settle, LOOK_MS)
    const stop = (): void => {
      forget()
      clearInterval(look)
      signal.removeEventListener('abort', abort)
    }
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    else settle()
  })
}
