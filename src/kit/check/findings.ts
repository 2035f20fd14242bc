/** From what is as it should be to what keeps hosts from using the plugin. */
export const SEVERITIES = ['ok', 'note', 'warning', 'error'] as const

export type Severity = (typeof SEVERITIES)[number]

/** One line about one thing. */
export interface Finding {
  readonly severity: Severity
  /** `file`, `module`, `init`, `options`, `permissions`, a key of the metadata, or a method. */
  readonly about: string
  readonly text: string
}

export function worstOf(findings: readonly Finding[]): Severity {
  const worst = Math.max(0, ...findings.map(({ severity }) => SEVERITIES.indexOf(severity)))
  return SEVERITIES[worst] ?? 'error'
}

/** The exit code for the worst that was found: 2 is for slips on the command line. */
export const EXIT_CODES: Readonly<Record<Severity, number>> = { ok: 0, note: 0, warning: 1, error: 3 }
