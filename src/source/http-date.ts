/** A time in milliseconds since 1970 as HTTP writes it: `Mon, 02 Jan 2006 15:04:05 GMT`. Parts of a second are cut. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString()
}

/** The reverse, in milliseconds; undefined for what is no date. */
export function parseHttpDate(text: string): number | undefined {
  const ms = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isFinite(ms) ? ms : undefined
}
