/** Hears of an error that nobody waits for. Must not throw. */
export type StrayReport = (error: unknown, kind: 'unhandledRejection' | 'uncaughtException') => void

const reports: StrayReport[] = []

/**
 * Keeps the process alive when something fails that nobody waits for, such as a timer or a promise that a plugin left
 * behind, and hands the error to `report`. Of several guards the latest one hears.
 *
 * To live on after an uncaught exception is acceptable here: what a daemon knows is on disk and checked when it is
 * read, every request has a failure path and time limits of its own, and the alternative is that one bad plugin ends the
 * downloads of all others.
 */
export function guardProcess(report: StrayReport): Disposable {
  if (reports.length === 0) {
    process.on('unhandledRejection', hearRejection)
    process.on('uncaughtException', hearException)
  }
  reports.push(report)
  return { [Symbol.dispose]: () => dismiss(report) }
}

function dismiss(report: StrayReport): void {
  const index = reports.lastIndexOf(report)
  if (index >= 0) reports.splice(index, 1)
  if (reports.length > 0) return
  process.off('unhandledRejection', hearRejection)
  process.off('uncaughtException', hearException)
}

function hearRejection(error: unknown): void {
  reports.at(-1)?.(error, 'unhandledRejection')
}

function hearException(error: unknown): void {
  reports.at(-1)?.(error, 'uncaughtException')
}
