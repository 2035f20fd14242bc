import { writeSync } from 'node:fs'
import { pino } from 'pino'
import { redactFields, redactUrls } from './redact.ts'
import { rotatingFile } from './rotating-file.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>

interface Write {
  (message: string): void
  (fields: LogFields, message: string): void
}

/** Writes JSON lines, one per event. Values of headers, credentials and query values of URLs never reach them. */
export interface Logger {
  readonly debug: Write
  readonly info: Write
  readonly warn: Write
  readonly error: Write
  /** A logger that puts `fields` on each of its lines. */
  child(fields: LogFields): Logger
}

export interface LogOptions {
  /** Whose lines these are: dfget, daemon, scheduler. */
  readonly name: string
  readonly level: LogLevel
  /** Where to: a file that is renamed to `<file>.1` above `maxBytes`. Without it, stderr. */
  readonly file?: string
  /** 100 MiB. */
  readonly maxBytes?: number
}

const MAX_LOG_BYTES = 100 * 2 ** 20

/** Builds a logger whose lines are written before the call returns, so that none is lost at exit. */
export function createLog(options: LogOptions): Logger & Disposable {
  const target =
    options.file === undefined ? stderrLines() : rotatingFile(options.file, options.maxBytes ?? MAX_LOG_BYTES)
  const log = pino(
    {
      name: options.name,
      level: options.level,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: redactFields, bindings: redactFields },
    },
    target,
  )
  return Object.assign(wrap(log), { [Symbol.dispose]: () => target[Symbol.dispose]() })
}

/** Says nothing; for tests and for commands that have nowhere to write. */
export const silentLog: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}

function wrap(log: pino.Logger): Logger {
  return {
    debug: write(log, 'debug'),
    info: write(log, 'info'),
    warn: write(log, 'warn'),
    error: write(log, 'error'),
    child: (fields) => wrap(log.child(redactFields(fields))),
  }
}

function write(log: pino.Logger, level: LogLevel): Write {
  return (fields: LogFields | string, message?: string) => {
    if (typeof fields === 'string') log[level](redactUrls(fields))
    else log[level](fields, redactUrls(message ?? ''))
  }
}

function stderrLines(): { write(line: string): void } & Disposable {
  const write = (line: string): void => {
    try {
      writeSync(2, line)
    } catch {
      // A reader that went away (EPIPE) or is slow (EAGAIN) does not stop the process.
    }
  }
  return { write, [Symbol.dispose]: () => {} }
}
