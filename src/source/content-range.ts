import type { ByteRange } from '#core'

/** What a Content-Range says. `range` is undefined in the form for 416, `total` where it stays unknown (`*`). */
export interface ContentRange {
  readonly range: ByteRange | undefined
  readonly total: number | undefined
}

/** Reads `bytes 0-9/100`, `bytes 0-9/*` and `bytes *\/100`; undefined for anything else. */
export function parseContentRange(text: string): ContentRange | undefined {
  const match = /^bytes (?:(\d{1,16})-(\d{1,16})|\*)\/(?:(\d{1,16})|\*)$/i.exec(text.trim())
  if (match === null) return undefined
  const [, first, last, length] = match
  const total = length === undefined ? undefined : Number(length)
  if (first === undefined || last === undefined) return { range: undefined, total }
  const range = { start: Number(first), end: Number(last) }
  if (range.end < range.start || range.end >= (total ?? Number.MAX_SAFE_INTEGER)) return undefined
  return { range, total }
}
