const MOST_SLIPS = 2

/** The name (of a command, of an option) that was most likely meant by a word that is none; undefined where none is close. */
export function nearWord(word: string, names: readonly string[]): string | undefined {
  const [nearest] = names
    .map((name) => ({ name, slips: slipsBetween(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, slips }) => slips <= MOST_SLIPS && slips * 2 < name.length)
    .toSorted((a, b) => a.slips - b.slips)
  return nearest?.name
}

/** How many letters have to be put in, left out or changed to make one word of the other. */
function slipsBetween(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > MOST_SLIPS) return Infinity
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [line, letter] of from.split('').entries()) {
    const next = [line + 1]
    for (const [column, other] of to.split('').entries()) {
      const changed = (row[column] ?? 0) + (letter === other ? 0 : 1)
      next.push(Math.min(changed, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? Infinity
}
