import { Failure } from '#core'
import { parsePluginName, type PluginType } from '#plugin'
import { checkedScheme } from '../checked-scheme.ts'
import type { Project } from './project.ts'

/** What a plugin is by its name. */
export interface Identity {
  readonly type: PluginType
  readonly name: string
  /** Of the file that hosts look for. */
  readonly fileName: string
}

/** By `--scheme`, else by the name of the package. Fails with `usage.invalid`. */
export function identityOf(project: Project, scheme: string | undefined): Identity {
  if (scheme !== undefined) return named('resource', checkedScheme(scheme))
  const { name } = project.manifest
  const bare = typeof name === 'string' ? name.replace(/^@[^/]*\//, '') : ''
  const parsed = parsePluginName(bare, true)
  if (parsed?.type === 'resource') return named('resource', checkedScheme(parsed.name))
  if (parsed !== undefined) return named(parsed.type, parsed.name)
  const said = typeof name === 'string' ? `is called ${JSON.stringify(name.slice(0, 120))}` : 'has no name'
  throw new Failure(
    'usage.invalid',
    `the project in ${project.dir} ${said}: call it d7y-resource-plugin-<scheme> in package.json, or give --scheme`,
  )
}

function named(type: PluginType, name: string): Identity {
  return { type, name, fileName: `d7y-${type}-plugin-${name}.mjs` }
}
