import { FAILURES } from '#core'

type Write = (data: string | Uint8Array, done: (error?: Error | null) => void) => boolean

let write: Write | undefined
let resultTold = false

/**
 * From now on stdout is ours alone: it holds a file, a result or a listing, and what a plugin prints there goes to
 * stderr. To be called before a plugin may be loaded.
 */
export function keepStdout(): void {
  ownWrite()
  process.stdout.write = process.stderr.write.bind(process.stderr)
}

/** Prints a line. A reader that went away is no failure: the line was for it. */
export function printLine(text: string): void {
  ownWrite()(`${text}\n`, (error) => {
    if (!error || isReaderGone(error)) return
    process.stderr.write(`cannot write to stdout: ${error.message}\n`)
    process.exitCode ??= FAILURES['output.invalid'].exit
  })
}

/** Writes bytes of a file; `done` is called when the reader may be given more. */
export function writeBytes(bytes: Uint8Array, done: (error?: Error | null) => void): void {
  ownWrite()(bytes, done)
}

/** Prints the one object that `--json` promises; a second one is not printed. */
export function printResult(facts: Readonly<Record<string, unknown>>): void {
  if (!resultTold) printLine(JSON.stringify(facts))
  resultTold = true
}

export function isReaderGone(error: Error): boolean {
  return 'code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED')
}

function ownWrite(): Write {
  write ??= process.stdout.write.bind(process.stdout)
  return write
}
