import { Failure } from '#core'

const MOST_DEPTH = 32
const MOST_VALUES = 10_000

export type Leaf = (value: unknown, path: readonly string[]) => unknown

/**
 * A copy of options with each value that holds no others replaced. Options can be of any shape, and YAML can make them
 * hold themselves: fails with `config.invalid` for more than options ever are.
 */
export function mapLeaves(place: string, root: unknown, leaf: Leaf): unknown {
  let values = 0
  const copy = (value: unknown, path: readonly string[]): unknown => {
    if (++values > MOST_VALUES) throw new Failure('config.invalid', `${place}: holds more than ${MOST_VALUES} values`)
    if (typeof value !== 'object' || value === null) return leaf(value, path)
    if (path.length >= MOST_DEPTH)
      throw new Failure('config.invalid', `${place}: is nested deeper than ${MOST_DEPTH} levels`)
    if (Array.isArray(value)) return value.map((inner: unknown, at) => copy(inner, [...path, String(at)]))
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, copy(inner, [...path, name])]))
  }
  return copy(root, [])
}
