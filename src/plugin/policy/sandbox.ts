import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Failure } from '#core'
import { covers, type Grants } from './grants.ts'

export type Enforced = 'enforced' | 'not enforced'

/** What a host holds a plugin to, by kind of permission. */
export interface Enforcement {
  readonly files: Enforced
  readonly environment: Enforced
  readonly network: Enforced
  readonly processes: Enforced
  readonly memory: Enforced
}

/** How the process of a plugin is started so that it has what it was granted, and no more. */
export interface Sandbox {
  readonly execArgv: readonly string[]
  readonly env: Record<string, string>
  readonly enforcement: Enforcement
}

export interface SandboxPlace {
  /** The program that runs the plugin. */
  readonly childFile: string
  /** The plugin's own file or folder, all links followed. */
  readonly plugin: string
  readonly env: NodeJS.ProcessEnv
}

/** What every program needs to find its way about; nothing here is a secret of the host's. */
const NEUTRAL_NAMES = [
  'PATH',
  'LANG',
  'LC_*',
  'TZ',
  'TMPDIR',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
]

/** Would loosen every other limit. */
const NEVER_PICKED = 'NODE_OPTIONS'
/** The options of all plugins, secrets among them. */
const OPTIONS_VARIABLE = 'DRAGONFLY_PLUGINS'

/**
 * Node's permission flags for a plugin. They keep honest code honest and a mistake small; a process that may start
 * others is held by none of them. Nor are threads (one that is started with flags of its own reads every file), so they
 * come with processes only. Fails with `plugin.refused` for a path that the flags cannot name.
 */
export function sandbox(grants: Grants, { childFile, plugin, env }: SandboxPlace): Sandbox {
  const memory = process.platform === 'linux' ? 'enforced' : 'not enforced'
  const network = 'not enforced'
  const flag = permissionFlag()
  if (grants.all || flag === undefined) {
    const open = 'not enforced'
    const environment = grants.all ? open : 'enforced'
    const enforcement: Enforcement = { files: open, environment, network, processes: open, memory }
    return { execArgv: [], env: grants.all ? allBut(env) : pick(env, grants.environment), enforcement }
  }
  const execArgv = [
    flag,
    // Of the flag itself. What the plugin's own code is warned of goes to its output, as ever.
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=SecurityWarning',
    ...withoutCovered([
      ...[childFile, plugin, ...manifestsAbove(plugin)].map(literal),
      ...grants.files.flatMap(withWhatIsBelow),
    ]).map((path) => `--allow-fs-read=${path}`),
    ...withoutCovered(grants.writes.flatMap(withWhatIsBelow)).map((path) => `--allow-fs-write=${path}`),
    ...(knows('--allow-net') ? ['--allow-net'] : []),
    ...(grants.processes ? ['--allow-child-process', '--allow-worker'] : []),
    ...(grants.addons && knows('--allow-addons') ? ['--allow-addons'] : []),
  ]
  const held = grants.processes || grants.addons ? 'not enforced' : 'enforced'
  const enforcement: Enforcement = { files: held, environment: 'enforced', network, processes: held, memory }
  return { execArgv, env: pick(env, grants.environment), enforcement }
}

/** A star in a flag stands for any characters, and nothing takes that meaning away. */
function literal(path: string): string {
  if (!path.includes('*')) return path
  throw new Failure('plugin.refused', `its path ${path} has a *, which Node would take for a pattern: rename it`)
}

/**
 * Node looks only once whether a path is a directory, and then means all below it too: one that is made later would not
 * count as one.
 */
function withWhatIsBelow(path: string): string[] {
  if (path.endsWith('*')) return [path]
  const below = `${path.replace(/\/+$/, '')}/*`
  return isDirectory(path) ? [below] : [path, below]
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/** Node 20 aborts where one path is named twice, or below another one that ends in a star. */
function withoutCovered(paths: readonly string[]): string[] {
  const unique = [...new Set(paths)]
  const stars = unique.filter((path) => path.endsWith('*')).map((path) => path.slice(0, -1))
  return unique.filter((path) => !stars.some((star) => path !== `${star}*` && path.startsWith(star)))
}

/** Early Node 20 reads them on its way up, to know what kind of module a `.js` file is, and fails where it may not. */
function manifestsAbove(file: string): string[] {
  const manifests: string[] = []
  for (let at = file; at !== dirname(at); at = dirname(at)) manifests.push(join(dirname(at), 'package.json'))
  return manifests
}

function permissionFlag(): string | undefined {
  return ['--permission', '--experimental-permission'].find(knows)
}

function knows(flag: string): boolean {
  return process.allowedNodeEnvironmentFlags.has(flag)
}

function pick(env: NodeJS.ProcessEnv, granted: readonly string[]): Record<string, string> {
  const patterns = [...NEUTRAL_NAMES, ...granted]
  return Object.fromEntries(
    Object.entries(defined(env)).filter(
      ([name]) =>
        name !== NEVER_PICKED && name !== OPTIONS_VARIABLE && patterns.some((pattern) => covers(pattern, name)),
    ),
  )
}

/** Everything but what other plugins are told. */
function allBut(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(defined(env)).filter(([name]) => name !== OPTIONS_VARIABLE))
}

function defined(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
}
