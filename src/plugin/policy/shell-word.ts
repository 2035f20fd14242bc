/** A word as one may paste it into a shell. */
export function shellWord(text: string): string {
  return /^[\w/.,:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** The flag that grants something: `files=/etc/x`. */
export function grantFlag(scheme: string, what: string): string {
  return `--plugin-grant ${shellWord(`${scheme}.${what}`)}`
}
