import { Failure } from '#core'
import { isReaderGone, writeBytes } from './own-stdout.ts'

/** The bytes of a file on stdout, at the reader's pace. */
export class StdoutBytes {
  #written = 0

  /** Bytes that are out, and cannot be taken back. */
  get written(): number {
    return this.#written
  }

  /**
   * Resolves when the reader may be given more; fails with `output.closed` when there is no reader any more, and with
   * `output.invalid` when the bytes cannot be written.
   */
  write(bytes: Uint8Array): Promise<void> {
    this.#written += bytes.length
    return new Promise((resolve, reject) => {
      writeBytes(bytes, (error) => {
        if (!error) resolve()
        else reject(failureOf(error))
      })
    })
  }
}

function failureOf(cause: Error): Failure {
  if (isReaderGone(cause)) return new Failure('output.closed', 'who read the output went away', { cause })
  return new Failure('output.invalid', `cannot write to stdout: ${cause.message}`, { cause })
}
