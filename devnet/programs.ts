import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Ran, run } from './process.ts'

export type Program = 'dfget' | 'dfdaemon' | 'cdn' | 'scheduler'

/** The checkout that this file is part of. */
export const repository = findRepository(dirname(fileURLToPath(import.meta.url)))

/** Environment of every program of ours that devnet starts: the bundle is made once, see `programsBuilt`. */
export const PROGRAM_ENV = { DRAGONFLY_BUILD: 'skip', DRAGONFLY_WORKHOME: undefined, DRAGONFLY_LOGDIR: undefined }

export function programPath(program: Program): string {
  return join(repository, 'bin', program)
}

let building: Promise<void> | undefined

/** Resolves once the programs in bin/ stand for the sources as they are now; looked at once per process. */
export function programsBuilt(): Promise<void> {
  building ??= run(process.execPath, [programPath('dfget'), 'version'], { timeoutMs: 300_000 }).then((ran) => {
    if (ran.code !== 0) throw new Error(`the programs cannot be built: ${ran.stderr}`)
  })
  return building
}

/** Runs one of the programs to its end. */
export async function runProgram(
  program: Program,
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string | undefined>>; timeoutMs?: number } = {},
): Promise<Ran> {
  await programsBuilt()
  return run(process.execPath, [programPath(program), ...args], { ...options, env: { ...PROGRAM_ENV, ...options.env } })
}

/** A bundle may lie deeper in the checkout than its source: the root is looked for, not counted. */
function findRepository(start: string): string {
  for (let directory = start; ; directory = dirname(directory)) {
    const file = join(directory, 'package.json')
    if (existsSync(file) && readFileSync(file, 'utf8').includes('"name": "dragonfly-ts"')) return directory
    if (dirname(directory) === directory) throw new Error(`${start} lies in no checkout of dragonfly-ts`)
  }
}
