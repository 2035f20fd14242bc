import { Failure, messageOf } from './failure.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from './units.ts'

/** One setting, declared once: its type, its default, its unit and its help all come from here. */
export interface Setting<T> {
  readonly kind: 'text' | 'size' | 'duration' | 'number' | 'port' | 'flag' | 'list' | 'choice' | 'map'
  readonly default: T
  readonly help: string
  readonly choices?: readonly string[]
  /** Turns what stood in a YAML file or behind a flag into the value, or throws an Error that says why not. */
  parse(raw: unknown): T
  /** The value as a person would write it. */
  format(value: T): string
}

export type Declarations = { readonly [key: string]: Setting<unknown> | Declarations }
export type SettingsOf<D> = {
  readonly [K in keyof D]: D[K] extends Setting<infer T> ? T : D[K] extends Declarations ? SettingsOf<D[K]> : never
}

export function text(value: string, help: string): Setting<string> {
  return { kind: 'text', default: value, help, parse: asText, format: (value) => value }
}

/** Bytes: `20GiB`, `512k`, `1000`. */
export function size(value: number, help: string): Setting<number> {
  return { kind: 'size', default: value, help, parse: (raw) => parseSize(asScalar(raw)), format: formatSize }
}

/** Milliseconds: `90s`, `1m30s`, `250ms`, `0` for never. */
export function duration(valueMs: number, help: string): Setting<number> {
  return {
    kind: 'duration',
    default: valueMs,
    help,
    parse: (raw) => parseDuration(asScalar(raw)),
    format: formatDuration,
  }
}

export function number(value: number, help: string, bounds: { min?: number; max?: number } = {}): Setting<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = bounds
  const parse = (raw: unknown): number => {
    const text = asScalar(raw)
    if (!/^-?\d+$/.test(text)) throw new Error('is not a whole number')
    const value = Number(text)
    if (value < min || value > max) throw new Error(`is not between ${min} and ${max}`)
    return value
  }
  return { kind: 'number', default: value, help, parse, format: String }
}

/** A TCP port; 0 takes any free one. */
export function port(value: number, help: string): Setting<number> {
  return { ...number(value, help, { min: 0, max: 65535 }), kind: 'port' }
}

export function flag(value: boolean, help: string): Setting<boolean> {
  const parse = (raw: unknown): boolean => {
    if (typeof raw === 'boolean') return raw
    if (raw === 'true' || raw === '') return true
    if (raw === 'false') return false
    throw new Error('is neither true nor false')
  }
  return { kind: 'flag', default: value, help, parse, format: String }
}

export function choice<const C extends string>(value: C, choices: readonly C[], help: string): Setting<C> {
  const parse = (raw: unknown): C => {
    const found = choices.find((choice) => choice === raw)
    if (found === undefined) throw new Error(`is none of ${choices.join(', ')}`)
    return found
  }
  return { kind: 'choice', default: value, help, choices, parse, format: (value) => value }
}

export function list(value: readonly string[], help: string): Setting<readonly string[]> {
  const parse = (raw: unknown): readonly string[] => {
    if (Array.isArray(raw)) return raw.map(asText)
    return asText(raw)
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
  }
  return { kind: 'list', default: value, help, parse, format: (value) => value.join(',') }
}

/** Free keys below one setting, such as the options of plugins: `plugins.<scheme>.<key>`. */
export function map(help: string): Setting<Readonly<Record<string, unknown>>> {
  const parse = (raw: unknown): Readonly<Record<string, unknown>> => {
    if (!isRecord(raw)) throw new Error('is not a mapping')
    return raw
  }
  return { kind: 'map', default: {}, help, parse, format: (value) => JSON.stringify(value) }
}

export function isSetting(value: Setting<unknown> | Declarations): value is Setting<unknown> {
  return typeof (value as Setting<unknown>).parse === 'function'
}

/** Every setting with its dotted key, in the order of declaration. */
export function flattenSettings(declarations: Declarations, prefix = ''): [key: string, setting: Setting<unknown>][] {
  return Object.entries(declarations).flatMap(([name, value]): [string, Setting<unknown>][] =>
    isSetting(value) ? [[prefix + name, value]] : flattenSettings(value, `${prefix}${name}.`),
  )
}

/**
 * Checked, complete, frozen settings. `layers` are nested objects as YAML gives them, the last one wins. All mistakes
 * (unknown keys among them) are told at once, each with its key, in a `config.invalid`.
 */
export function resolveSettings<D extends Declarations>(declarations: D, layers: readonly unknown[]): SettingsOf<D> {
  const mistakes: string[] = []
  const resolved = resolveLevel(declarations, layers, '', mistakes)
  if (mistakes.length > 0) throw new Failure('config.invalid', mistakes.join('\n'))
  return resolved as SettingsOf<D>
}

function resolveLevel(
  declarations: Declarations,
  layers: readonly unknown[],
  prefix: string,
  mistakes: string[],
): unknown {
  const levels = layers.filter((layer) => layer !== undefined && layer !== null)
  for (const level of levels) {
    if (!isRecord(level)) {
      mistakes.push(`${prefix.slice(0, -1) || 'the configuration'}: ${JSON.stringify(level)} is not a mapping`)
      continue
    }
    for (const key of Object.keys(level)) {
      if (!Object.hasOwn(declarations, key))
        mistakes.push(`${prefix}${key}: there is no such setting${didYouMean(key, declarations)}`)
    }
  }
  const records = levels.filter(isRecord)
  const entries = Object.entries(declarations).map(([key, declaration]) => {
    const values = records.filter((record) => Object.hasOwn(record, key)).map((record) => record[key])
    if (!isSetting(declaration)) return [key, resolveLevel(declaration, values, `${prefix}${key}.`, mistakes)]
    return [key, resolveValue(declaration, values, prefix + key, mistakes)]
  })
  return Object.freeze(Object.fromEntries(entries))
}

function resolveValue(setting: Setting<unknown>, values: readonly unknown[], key: string, mistakes: string[]): unknown {
  const raw = values.at(-1)
  if (raw === undefined || raw === null) return setting.default
  try {
    return setting.parse(raw)
  } catch (error) {
    mistakes.push(`${key}: ${JSON.stringify(raw)} ${messageOf(error)}`)
    return setting.default
  }
}

function didYouMean(key: string, declarations: Declarations): string {
  const near = Object.keys(declarations).find(
    (name) => name.toLowerCase() === key.toLowerCase().replaceAll(/[-_]/g, ''),
  )
  return near === undefined ? `; known here: ${Object.keys(declarations).join(', ')}` : `; did you mean ${near}?`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asScalar(raw: unknown): string {
  if (typeof raw === 'number' || typeof raw === 'string') return String(raw)
  throw new Error('is neither a text nor a number')
}

function asText(raw: unknown): string {
  return asScalar(raw)
}
