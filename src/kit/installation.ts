import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The name that plugins know this package by. */
export const PACKAGE_NAME = 'dragonfly-ts'

/** This package as it lies on disk. */
export interface Installation {
  readonly root: string
  /** Of package.json. */
  readonly version: string
}

/** The installation that this code belongs to: a bundle may lie deeper than its source, so it is looked for. */
export function installation(): Installation {
  const start = dirname(fileURLToPath(import.meta.url))
  for (let root = start; ; root = dirname(root)) {
    const manifest = manifestIn(root)
    if (manifest?.name === PACKAGE_NAME) return { root, version: String(manifest.version) }
    if (dirname(root) === root) throw new Error(`${start} lies in no installation of ${PACKAGE_NAME}`)
  }
}

function manifestIn(root: string): { readonly name?: unknown; readonly version?: unknown } | undefined {
  const file = join(root, 'package.json')
  if (!existsSync(file)) return undefined
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
  return Object(manifest) as { name?: unknown; version?: unknown }
}
