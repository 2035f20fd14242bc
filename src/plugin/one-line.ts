import { messageOf } from '#core'

const LONGEST_CHARS = 500

/** Control characters, and those that turn the direction of a line: they would rewrite a terminal or a log. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu

/** What a stranger's file or code says, fit for one line of a terminal or a log. */
export function oneLine(text: string): string {
  const flat = text
    .slice(0, 4 * LONGEST_CHARS)
    .replace(/\s+/g, ' ')
    .trim()
    .replace(UNPRINTABLE, escapeChar)
  const isCut = flat.length > LONGEST_CHARS || text.length > 4 * LONGEST_CHARS
  return isCut ? `${flat.slice(0, LONGEST_CHARS)}…` : flat
}

/** JSON without a character that a terminal would obey. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(UNPRINTABLE, escapeChar)
}

/** The message of whatever a plugin threw. Reading it may fail too: it can be any object. */
export function thrownMessage(thrown: unknown): string {
  try {
    const message: unknown = messageOf(thrown)
    return (typeof message === 'string' && oneLine(message)) || 'an error without a message'
  } catch {
    return 'something that has no message'
  }
}

/** A value found where another was expected, in a word or two. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return oneLine(JSON.stringify(value.slice(0, 80)))
  if (value === null || value === undefined || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function escapeChar(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}
