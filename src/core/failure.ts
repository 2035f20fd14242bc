/**
 * Every way an operation can fail that a caller may want to tell apart: the exit code of `dfget`, whether the same
 * call may be tried again, and what a reader can do. `docs/failures.md` is generated from this table.
 */
export const FAILURES = {
  'usage.invalid': { exit: 2, retry: false, help: 'See `--help` for the flags and their values.' },
  'config.invalid': {
    exit: 2,
    retry: false,
    help: 'Correct the named key; `--help` lists every setting and its default.',
  },
  'source.unknown_scheme': {
    exit: 3,
    retry: false,
    help: 'Put a plugin for this scheme into a plugin directory; `dfget plugin` lists what is found there.',
  },
  'plugin.broken': {
    exit: 3,
    retry: false,
    help: 'Mend the plugin file; it is tried again as soon as the file changes.',
  },
  'plugin.refused': {
    exit: 3,
    retry: false,
    help: 'Mend what the message names (owner, mode, hash, permission); `dfget plugin check FILE` tells it again.',
  },
  'plugin.crashed': {
    exit: 6,
    retry: true,
    help: "The plugin's process ended in the middle and is started anew; the daemon's log has what it said.",
  },
  'plugin.hung': {
    exit: 6,
    retry: true,
    help: "The plugin answered nothing for too long and was ended; the daemon's log has what it said.",
  },
  'plugin.down': {
    exit: 6,
    retry: false,
    help: 'The plugin failed again and again and is left alone for a while; mend or replace its file.',
  },
  'source.not_found': { exit: 4, retry: false, help: 'The origin has nothing at this URL; check the path.' },
  'source.denied': {
    exit: 5,
    retry: false,
    help: 'The origin refused access; give credentials with -H or in the config.',
  },
  'source.unreachable': {
    exit: 6,
    retry: true,
    help: 'The origin does not answer; check the host, the network and proxies.',
  },
  'source.broken': {
    exit: 6,
    retry: true,
    help: 'The origin sent something else than it announced; try again or check the origin.',
  },
  'source.changed': { exit: 6, retry: true, help: 'The file changed at the origin while it was read; start again.' },
  'source.range_invalid': { exit: 2, retry: false, help: 'Ask for a range that lies inside the file.' },
  'source.not_supported': {
    exit: 6,
    retry: false,
    help: 'This source cannot do that; see the documentation of its plugin.',
  },
  'piece.corrupt': { exit: 1, retry: true, help: 'A piece did not match its digest; another parent is asked.' },
  'piece.missing': {
    exit: 1,
    retry: true,
    help: 'A parent does not have this piece (any more); another one is asked.',
  },
  'peer.unreachable': { exit: 1, retry: true, help: 'A parent does not answer; another one is asked.' },
  'digest.mismatch': {
    exit: 1,
    retry: false,
    help: 'The bytes are not the ones you expect: no output file was made, and what went to stdout must not be used.',
  },
  'download.timeout': {
    exit: 1,
    retry: true,
    help: 'Give more time with --timeout; what is here already is kept for the next try.',
  },
  'download.no_source': {
    exit: 1,
    retry: true,
    help: 'No peer has the file and reading the origin is not allowed; drop --disable-back-source or preheat the file.',
  },
  'download.cancelled': { exit: 130, retry: true, help: 'Interrupted; what is here already is kept for the next try.' },
  'storage.full': { exit: 7, retry: false, help: 'Free some space, or move the storage with storage.dir.' },
  'storage.failed': { exit: 7, retry: false, help: 'The storage directory cannot be read or written; see the cause.' },
  'storage.in_use': {
    exit: 7,
    retry: false,
    help: 'Another process works in this storage directory; give each its own --workhome.',
  },
  'output.invalid': { exit: 8, retry: false, help: 'Name a file in a directory that you may write to.' },
  'output.closed': { exit: 141, retry: true, help: 'Who read the output went away.' },
  'daemon.unavailable': { exit: 9, retry: true, help: 'See the daemon log; `dfget -p source` works without a daemon.' },
  'daemon.running': {
    exit: 9,
    retry: false,
    help: 'Stop it first (its number stands in daemon.pid there), or give this one another --workhome.',
  },
  'scheduler.unavailable': {
    exit: 9,
    retry: true,
    help: 'Check the address given with --scheduler and that the scheduler runs.',
  },
  'scheduler.full': {
    exit: 9,
    retry: true,
    help: 'Wait, or raise maxHosts, maxTasks, maxPeers or maxPeersPerTask of the scheduler.',
  },
  'host.unknown': { exit: 1, retry: true, help: 'The host has to announce itself first; daemons do so by themselves.' },
  'task.unknown': { exit: 1, retry: false, help: 'Nothing is known of this task here.' },
  internal: { exit: 70, retry: false, help: 'This is a bug; please report it with the log.' },
} as const satisfies Record<string, { exit: number; retry: boolean; help: string }>

export type FailureCode = keyof typeof FAILURES

const MARK = Symbol.for('dragonfly-ts.failure')

/** A failure that was foreseen. Everything else that is thrown is a bug. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly code: FailureCode

  /** True also for one of another copy of this class: dfget's short way and the rest of it are bundled apart. */
  static override [Symbol.hasInstance](value: unknown): value is Failure {
    return typeof value === 'object' && value !== null && MARK in value
  }

  constructor(code: FailureCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  get [MARK](): boolean {
    return true
  }

  get retryable(): boolean {
    return FAILURES[this.code].retry
  }

  get exit(): number {
    return FAILURES[this.code].exit
  }

  get help(): string {
    return FAILURES[this.code].help
  }
}

export function isFailureCode(code: unknown): code is FailureCode {
  return typeof code === 'string' && Object.hasOwn(FAILURES, code)
}

/** The same error as a Failure: an abort becomes its reason, an unforeseen error becomes `fallback`. */
export function asFailure(error: unknown, fallback: FailureCode = 'internal'): Failure {
  if (error instanceof Failure) return error
  if (error instanceof Error && error.name === 'AbortError') {
    if (error.cause instanceof Failure) return error.cause
    return new Failure('download.cancelled', 'cancelled', { cause: error })
  }
  return new Failure(fallback, messageOf(error), { cause: error })
}

/** What an unknown thrown value says, in one line. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ')
  if (error instanceof Error) return error.message === '' ? error.name : error.message
  return String(error)
}
