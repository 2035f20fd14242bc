import { Failure } from '#core'

/** The bytes of a file on stdout, at the reader's pace. */
export class StdoutBytes {
  #written = 0
  readonly #stream: NodeJS.WritableStream

  constructor(stream: NodeJS.WritableStream = process.stdout) {
    this.#stream = stream
    stream.on('error', () => undefined) // told to whoever writes
  }

  /** Bytes that are out, and cannot be taken back. */
  get written(): number {
    return this.#written
  }

  /** Resolves when the reader may be given more; fails with `output.invalid` when there is no reader any more. */
  write(bytes: Uint8Array): Promise<void> {
    this.#written += bytes.length
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, (error) => {
        if (!error) resolve()
        else reject(new Failure('output.invalid', `cannot write to stdout: ${error.message}`, { cause: error }))
      })
    })
  }
}
