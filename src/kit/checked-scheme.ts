import { Failure } from '#core'
import { BUILT_IN_SCHEMES } from '#plugin'

/** The name of the plugin's file has to fit into a directory. */
const LONGEST_SCHEME_CHARS = 100

/** What can be the scheme of a plugin, in lower case. Fails with `usage.invalid`. */
export function checkedScheme(text: string): string {
  const scheme = text.toLowerCase()
  if (!/^[a-z][a-z0-9+.-]*$/.test(scheme) || scheme.length > LONGEST_SCHEME_CHARS) {
    const rule = 'a letter, then letters, digits, "+", "-" and "."'
    const hint = /^[^:]+:/.test(text) ? '; write it without what follows the colon' : ''
    throw new Failure('usage.invalid', `${JSON.stringify(text.slice(0, 120))} is no scheme of a URL: ${rule}${hint}`)
  }
  if (!BUILT_IN_SCHEMES.includes(scheme)) return scheme
  throw new Failure('usage.invalid', `${scheme} is built in, and no plugin takes its place; choose another scheme`)
}
