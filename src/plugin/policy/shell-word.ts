/** A word as one may paste it into a shell. */
export function shellWord(text: string): string {
  return /^[\w/.,:=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** How an operator grants a plugin what it lacks, such as `files=/etc/x`: the key, and the flags where they can say it. */
export function howToGrant(scheme: string, lacking: readonly string[]): string {
  const kinds = new Set(lacking.map((what) => what.slice(0, what.indexOf('='))))
  const key = kinds.size === 1 ? `${scheme}.${[...kinds].join('')}` : scheme
  const flags = lacking.map((what) => `--plugin-grant ${shellWord(`${scheme}.${what}`)}`)
  // To the flag a comma is the end of a path.
  const way = lacking.some((what) => what.includes(',')) ? '' : `, or with ${flags.join(' ')}`
  return `grant it in the configuration (pluginPolicy.grants.${key})${way}`
}
