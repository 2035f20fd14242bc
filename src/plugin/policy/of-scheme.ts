/** What a mapping from schemes holds for one. Schemes mean the same in capitals, and words of every object are none. */
export function ofScheme(values: Readonly<Record<string, unknown>>, scheme: string): unknown {
  const key = Object.keys(values).find((name) => name === scheme || name.toLowerCase() === scheme)
  return key === undefined ? undefined : values[key]
}
