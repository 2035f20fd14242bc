import type { Http2Stream } from 'node:http2'
import { later } from './later.ts'

/** Resolves when the stream takes more, or will never again. */
export function drained(stream: Http2Stream): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', closed)
      resolve()
    }
    const closed = later(done)
    stream.once('drain', done)
    stream.once('close', closed)
  })
}
