import { Failure } from '#core'

const MOST_DEPTH = 32
const MOST_VALUES = 10_000
const MOST_CHARS = 2 ** 20
/** Keys that would reach into every object. */
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

export type Mapping = Record<string, unknown>

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isForbidden(key: string): boolean {
  return FORBIDDEN.has(key)
}

/**
 * Holds a mapping of mappings, as `plugins` is one, to plain data of a sane size: YAML can write a mapping that holds
 * itself, or a billion texts in a line. Fails with `config.invalid` that names the key and never a value, which may be
 * a secret.
 */
export function checkPlain(key: string, value: unknown): asserts value is Mapping {
  if (!isMapping(value)) throw wrong([key], `is ${kindOf(value)}, expected a mapping`)
  walk([key], value, { values: 0, chars: 0 })
}

interface Tally {
  values: number
  chars: number
}

function walk(keys: readonly string[], value: unknown, tally: Tally): void {
  if (++tally.values > MOST_VALUES) throw wrong(keys.slice(0, 1), `holds more than ${MOST_VALUES} values`)
  if (keys.length > MOST_DEPTH) throw wrong(keys, 'is nested too deep')
  if (typeof value === 'string') return count(keys, value, tally)
  if (value === null || value === undefined || typeof value === 'boolean' || Number.isFinite(value)) return
  if (!isPlain(value)) throw wrong(keys, `is ${kindOf(value)}, which a plugin cannot be given`)
  for (const [name, inner] of Object.entries(value)) {
    if (isForbidden(name)) throw wrong([...keys, name], 'there can be no such key')
    count(keys, name, tally)
    walk([...keys, name], inner, tally)
  }
}

function count(keys: readonly string[], text: string, tally: Tally): void {
  tally.chars += text.length
  if (tally.chars > MOST_CHARS) throw wrong(keys.slice(0, 1), `holds more than ${MOST_CHARS} characters`)
}

/** YAML 1.1 has dates, sets and bytes; they would arrive as something else. */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return `a ${value.constructor.name}`
  return typeof value === 'number' ? `the number ${value}` : `a ${typeof value}`
}

function wrong(keys: readonly string[], why: string): Failure {
  const key = keys.join('.').replaceAll(/\p{Cc}/gu, '?')
  return new Failure('config.invalid', `${key.length > 200 ? `${key.slice(0, 200)}…` : key}: ${why}`)
}
