const UNITS: Readonly<Record<string, number>> = { n: 1e-6, u: 1e-3, m: 1, S: 1000, M: 60_000, H: 3_600_000 }

/** Longer waits than this are no waits (and overflow a timer): 24 days. */
const MAX_MS = 2 ** 31 - 1

/** The value of a `grpc-timeout` header for so many milliseconds; the standard allows eight digits. */
export function formatTimeout(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms))
  return whole < 1e8 ? `${whole}m` : `${Math.min(Math.ceil(whole / 1000), 99_999_999)}S`
}

/** Milliseconds of a `grpc-timeout` header; undefined when there is none, or none that can be read. */
export function parseTimeout(header: unknown): number | undefined {
  const match = typeof header === 'string' ? /^(\d{1,8})([numSMH])$/.exec(header) : null
  if (match === null) return undefined
  return Math.min(Math.ceil(Number(match[1]) * (UNITS[match[2] ?? ''] ?? 0)), MAX_MS)
}
