const SIZE_UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  kb: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mb: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gb: 2 ** 30,
  gib: 2 ** 30,
  t: 2 ** 40,
  tb: 2 ** 40,
  tib: 2 ** 40,
}
const DURATION_UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Bytes from `20GiB`, `512k`, `1.5M` or `1000`. Units are powers of 1024, as in Dragonfly's own flags. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = SIZE_UNITS[match?.[2]?.toLowerCase() ?? '?']
  if (match === null || unit === undefined) throw new Error('is not a size; write for example 512KiB, 20MiB or 1.5GiB')
  return countable(Number(match[1]) * unit, 'bytes')
}

/** Milliseconds from `90s`, `1m30s`, `250ms`; a bare number counts seconds. */
export function parseDuration(text: string): number {
  const plain = text.trim()
  if (/^\d+(\.\d+)?$/.test(plain)) return countable(Number(plain) * 1000, 'milliseconds')
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(plain))
    throw new Error('is not a duration; write for example 250ms, 90s or 1h30m')
  let total = 0
  for (const [, value, , unit] of plain.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(value) * (DURATION_UNITS[unit ?? ''] ?? 0)
  }
  return countable(total, 'milliseconds')
}

/** Beyond 2^53 a number is no longer exact, and does not fit the fields that carry it between processes. */
function countable(count: number, unit: string): number {
  const whole = Math.round(count)
  if (whole > Number.MAX_SAFE_INTEGER) throw new Error(`is too much; at most ${Number.MAX_SAFE_INTEGER} ${unit}`)
  return whole
}

/** `1.5 GiB`, for people. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1)
  const value = bytes / 1024 ** step
  return `${step === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[step]}`
}

/** A size as `parseSize` reads it back without loss. */
export function formatSize(bytes: number): string {
  for (const [unit, length] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= length && bytes % length === 0) return `${bytes / length}${unit}`
  }
  return String(bytes)
}

/** A duration as `parseDuration` reads it back without loss. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  for (const [unit, length] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms % length === 0) return `${ms / length}${unit}`
  }
  return `${ms}ms`
}
