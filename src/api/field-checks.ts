import { Failure } from '#core'

/** Says which field of a message is wrong, and why. The caller sees INVALID_ARGUMENT. */
export function wrong(field: string, why: string): Failure {
  return new Failure('usage.invalid', `${field} ${why}`)
}

/** Host, task and peer ids: one printable word. */
export function checkId(field: string, value: string): void {
  if (value === '') throw wrong(field, 'is missing')
  if (value.length > 512 || /[\p{Cc}\s]/u.test(value)) throw wrong(field, 'is no id of at most 512 characters')
}

export function checkText(field: string, value: string | undefined, maxCharacters: number): void {
  if (value === undefined) return
  if (value.length > maxCharacters) throw wrong(field, `has more than ${maxCharacters} characters`)
  if (value.includes('\0')) throw wrong(field, 'has a NUL character')
}

export function checkNumber(field: string, value: number | undefined, min: number, max: number): void {
  if (value === undefined) return
  if (!(value >= min && value <= max)) throw wrong(field, `is ${value}, not between ${min} and ${max}`)
}

export function checkCount(field: string, items: { readonly length: number }, max: number): void {
  if (items.length > max) throw wrong(field, `has ${items.length} entries, more than ${max}`)
}

export function checkBytes(field: string, value: Uint8Array, lengths: readonly number[]): void {
  if (!lengths.includes(value.length)) throw wrong(field, `has ${value.length} bytes, not ${lengths.join(' or ')}`)
}

const MAX_HEADERS = 128
const MAX_HEADER_CHARACTERS = 256 * 1024

/** Headers that can be sent as they are: names are tokens, values have no line ends. */
export function checkHeaders(field: string, headers: Readonly<Record<string, string>>): void {
  const entries = Object.entries(headers)
  checkCount(field, entries, MAX_HEADERS)
  let characters = 0
  for (const [name, value] of entries) {
    characters += name.length + value.length
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
      throw wrong(field, `has ${JSON.stringify(name.slice(0, 100))}, which is no header name`)
    if (/[\r\n\0]/.test(value)) throw wrong(field, `has a line end in the value of ${name}`)
  }
  if (characters > MAX_HEADER_CHARACTERS) throw wrong(field, `has more than ${MAX_HEADER_CHARACTERS} characters`)
}
