import { readFileSync, statSync } from 'node:fs'
import { Failure, messageOf } from '#core'
import { isCollection, isMap, isScalar, LineCounter, parseDocument, type Document } from 'yaml'

const MAX_CONFIG_BYTES = 2 ** 20

/** A configuration file as it was written. */
export interface ConfigFile {
  /** Plain nested objects; an empty object for an empty file. */
  readonly values: unknown
  /** `file:line:column` of a dotted key, or of the deepest part of it that is there. */
  readonly place: (key: string) => string
}

/** Reads a YAML file, or fails with a `config.invalid` that names file, line and column. */
export function readConfig(path: string): ConfigFile {
  const lines = new LineCounter()
  const document = parseDocument(readText(path), { lineCounter: lines, prettyErrors: false })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${line}:${col}`
  }
  const [mistake] = [...document.errors, ...document.warnings]
  if (mistake !== undefined) throw new Failure('config.invalid', `${at(mistake.pos[0])}: ${mistake.message}`)
  return {
    values: valuesOf(path, document),
    place: (key) => at(offsetOf(document, key.split('.'))),
  }
}

function readText(path: string): string {
  try {
    if (statSync(path).size > MAX_CONFIG_BYTES) throw new Error(`it has more than ${MAX_CONFIG_BYTES} bytes`)
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Failure('config.invalid', `cannot read the configuration ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function valuesOf(path: string, document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {}
  } catch (error) {
    throw new Failure('config.invalid', `${path}: ${messageOf(error)}`, { cause: error })
  }
}

function offsetOf(document: Document, keys: readonly string[]): number {
  let node: unknown = document.contents
  let offset = 0
  for (const key of keys) {
    if (!isMap(node)) break
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
    if (pair === undefined) break
    offset = (isScalar(pair.key) ? pair.key.range?.[0] : undefined) ?? offset
    node = isCollection(pair.value) ? pair.value : undefined
  }
  return offset
}
