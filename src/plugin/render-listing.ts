import type { FoundPlugin } from './find.ts'
import { BUILT_IN_SCHEMES, type GoodPlugin, type ListedPlugin } from './inspect.ts'
import type { ListedDir } from './list.ts'
import { oneLine, printableJson } from './one-line.ts'

export interface RenderedListing {
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  /** 1 when a plugin cannot be used or a directory that should be searched cannot be. */
  readonly exitCode: 0 | 1
}

/** The sources that come with the program, as a plugin would describe itself. */
export const IN_TREE = BUILT_IN_SCHEMES.map((scheme) => ({
  name: scheme,
  scheme,
  type: 'resource',
  vendor: 'dragonfly-ts',
}))

/** The listing as Dragonfly v2.0.2 prints it: good plugins on stdout, everything else on stderr. */
export function renderListing(dirs: readonly ListedDir[], { verbose = false } = {}): RenderedListing {
  const stdout: string[] = []
  const stderr: string[] = []
  for (const listed of dirs) {
    stderr.push(`search plugin in ${oneLine(listed.dir.path)}`)
    const problem = problemLine(listed)
    if (problem !== undefined) stderr.push(problem)
    for (const { name, folder } of listed.others)
      stderr.push(`${folder ? 'not support directory' : 'not valid plugin name'}: ${oneLine(name)}`)
    for (const plugin of listed.plugins) {
      if (plugin.state === 'good') stdout.push(goodLine(plugin.plugin, plugin.found))
      stderr.push(...remarkLines(plugin), ...(verbose ? detailLines(plugin) : []))
    }
  }
  for (const metadata of IN_TREE)
    stdout.push(`resource plugin ${metadata.name}, location: in-tree, attribute: ${printableJson(metadata)}`)
  return { stdout, stderr, exitCode: dirs.some(isWrong) ? 1 : 0 }
}

/** All that is known, for programs: one object, whose keys stay. */
export function listingJson(dirs: readonly ListedDir[]): Readonly<Record<string, unknown>> {
  return {
    directories: dirs.map((listed) => ({
      path: listed.dir.path,
      ...(listed.problem === undefined ? {} : { problem: reasonOf(listed.problem) }),
      plugins: listed.plugins.map(pluginJson),
    })),
    inTree: IN_TREE,
  }
}

function pluginJson(listed: ListedPlugin): Readonly<Record<string, unknown>> {
  const { found, facts } = listed
  const good = listed.state === 'good' ? listed.plugin : undefined
  return {
    type: found.type,
    name: found.name,
    location: found.location,
    file: facts.file ?? found.path,
    state: listed.state,
    ...(listed.state === 'good' ? {} : { reason: listed.reason }),
    sha256: facts.sha256,
    metadata: good?.metadata,
    methods: good?.methods,
    options: facts.options,
    permissions: permissionsJson(listed),
    enforcement: good?.enforcement,
    installed: facts.installed,
  }
}

/** What was declared is not known of a plugin that came to nothing before it could be asked. */
function permissionsJson(listed: ListedPlugin): Readonly<Record<string, unknown>> {
  const granted = listed.facts.granted ?? {}
  if (listed.state === 'good') return { declared: listed.plugin.metadata.permissions ?? {}, granted, missing: [] }
  if (listed.state === 'unused' || listed.lacking === undefined) return { granted }
  const { declared, missing } = listed.lacking
  return { declared, granted, missing }
}

function isWrong({ dir, problem, plugins }: ListedDir): boolean {
  if (problem !== undefined && (problem !== 'missing' || dir.given)) return true
  return plugins.some(({ state }) => state === 'broken' || state === 'refused')
}

function problemLine({ dir, problem }: ListedDir): string | undefined {
  if (problem === undefined) return undefined
  if (problem === 'missing' && !dir.given) return 'no plugin found: the directory does not exist'
  return `read plugin dir ${oneLine(dir.path)} error: ${oneLine(reasonOf(problem))}`
}

function reasonOf(problem: 'missing' | { readonly reason: string }): string {
  return problem === 'missing' ? 'it does not exist' : problem.reason
}

function goodLine({ metadata }: GoodPlugin, found: FoundPlugin): string {
  return `${titleOf(found)}, attribute: ${printableJson(metadata)}`
}

function titleOf({ type, name, location }: FoundPlugin): string {
  return `${type} plugin ${name}, location: ${location}`
}

function remarkLines(listed: ListedPlugin): string[] {
  const { found, facts, state } = listed
  const lines: string[] = []
  if (state === 'broken') lines.push(`not valid plugin binary format ${found.location}: "${listed.reason}"`)
  if (state === 'refused') lines.push(`${titleOf(found)}, refused: ${oneLine(listed.reason)}`)
  if (state === 'unused') lines.push(`${titleOf(found)}, not used: ${oneLine(listed.reason)}`)
  if (state === 'good' && facts.linked) lines.push(`${titleOf(found)}, is a link to ${oneLine(facts.file ?? '')}`)
  if (facts.installed?.changed === true) {
    const { from, at, sha256 } = facts.installed
    lines.push(`${titleOf(found)}, changed since it was installed: ${at} from ${oneLine(from)}, sha256 then ${sha256}`)
  }
  return lines
}

/** Lines below the one of a plugin that is not on stderr itself; so each says whose it is. */
function detailLines(listed: ListedPlugin): string[] {
  const { found, facts } = listed
  const told = [
    `sha256: ${facts.sha256 ?? 'unknown'}`,
    `options: ${printableJson(facts.options)}`,
    ...(listed.state === 'good' ? [`permissions: ${permissionsOf(listed.plugin, facts.granted)}`] : []),
    ...(facts.installed === undefined
      ? []
      : [`installed: ${facts.installed.at} from ${oneLine(facts.installed.from)}`]),
  ]
  return told.map((text) => `  ${found.location} ${text}`)
}

/** What it declared, what it was granted, and what it is held to, in plain words. */
function permissionsOf({ metadata, enforcement }: GoodPlugin, granted: unknown): string {
  const kinds = Object.entries(enforcement).map(([kind, enforced]) => `${kind} ${String(enforced)}`)
  const declared = metadata.permissions === undefined ? 'none' : printableJson(metadata.permissions)
  return `declared ${declared}; granted ${granted === undefined ? 'none' : printableJson(granted)}; ${kinds.join(', ')}`
}
