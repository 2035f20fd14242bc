import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeDirs } from '#core'

/** A file that lines are appended to at once, so that nothing is lost when the process dies. */
export interface LineFile extends Disposable {
  write(line: string): void
}

/**
 * Appends to `path`. Above `maxBytes` the file is renamed to `path.1` (replacing the one before) and begun anew: a log
 * never takes more than twice `maxBytes`. A full disk costs lines, not the process.
 */
export function rotatingFile(path: string, maxBytes: number): LineFile {
  makeDirs(dirname(path), mkdirSync)
  let file = openSync(path, 'a', 0o640)
  let length = fstatSync(file).size

  const rotate = (): void => {
    closeSync(file)
    renameSync(path, `${path}.1`)
    file = openSync(path, 'a', 0o640)
    length = 0
  }

  return {
    write(line) {
      try {
        if (length + line.length > maxBytes && length > 0) rotate()
        length += writeSync(file, line)
      } catch {
        // There is nowhere left to say so; the next line is tried again.
      }
    },
    [Symbol.dispose]: () => closeSync(file),
  }
}
