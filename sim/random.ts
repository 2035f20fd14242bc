/** 0 ≤ x < 1 */
export type Random = () => number

/** A stream of its own for each seed and purpose (mulberry32): one part's draws do not shift another's. */
export function randomOf(seed: number, purpose: string): Random {
  let state = seed >>> 0
  for (const letter of purpose) state = Math.imul(state ^ letter.charCodeAt(0), 0x01000193) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** `count` of the numbers from 0 up to, not including, `total`, each set as likely as any other. */
export function sample(total: number, count: number, random: Random): Set<number> {
  const numbers = Array.from({ length: total }, (_, number) => number)
  for (let index = 0; index < count; index++) {
    const other = index + Math.floor(random() * (total - index))
    const [a, b] = [numbers[index] as number, numbers[other] as number]
    numbers[index] = b
    numbers[other] = a
  }
  return new Set(numbers.slice(0, count))
}
