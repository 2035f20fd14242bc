import { accessSync, constants, existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

const SYSTEM_WORKHOME = '/usr/local/dragonfly'
const SYSTEM_LOGDIR = '/var/log/dragonfly'

/** Where a process of ours keeps its files. */
export interface Directories {
  readonly workhome: string
  readonly logdir: string
}

export interface DirectoryChoice {
  readonly workhome?: string | undefined
  readonly logdir?: string | undefined
}

/**
 * The directories to use: what was asked for, else `DRAGONFLY_WORKHOME` and `DRAGONFLY_LOGDIR`, else the system's
 * (where they can be written), else those in the home directory. Logs stay inside a work home that was chosen.
 */
export function directories(
  choice: DirectoryChoice,
  env: Readonly<Record<string, string | undefined>> = process.env,
  mayWrite: (path: string) => boolean = canWrite,
): Directories {
  const asked = choice.workhome || env['DRAGONFLY_WORKHOME']
  const askedLogs = choice.logdir || env['DRAGONFLY_LOGDIR']
  const system = asked === undefined && mayWrite(SYSTEM_WORKHOME)
  const workhome = asked ? resolve(asked) : system ? SYSTEM_WORKHOME : join(homedir(), '.dragonfly')
  if (askedLogs) return { workhome, logdir: resolve(askedLogs) }
  return { workhome, logdir: system && mayWrite(SYSTEM_LOGDIR) ? SYSTEM_LOGDIR : join(workhome, 'logs') }
}

/** Whether a directory is there and writable, or could be made. */
function canWrite(path: string): boolean {
  let nearest = path
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest)
  try {
    accessSync(nearest, constants.W_OK)
    return true
  } catch {
    return false
  }
}
