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
  /** The plugin's own file or folder. */
  readonly read: readonly string[]
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

/**
 * Node's permission flags for a plugin. They keep honest code honest and a mistake small; a process that may start
 * others is held by none of them.
 */
export function sandbox(grants: Grants, { childFile, read, env }: SandboxPlace): Sandbox {
  const memory = process.platform === 'linux' ? 'enforced' : 'not enforced'
  const network = 'not enforced'
  const flag = permissionFlag()
  if (grants.all || flag === undefined) {
    const open = 'not enforced'
    const environment = grants.all ? open : 'enforced'
    const enforcement: Enforcement = { files: open, environment, network, processes: open, memory }
    return { execArgv: [], env: grants.all ? defined(env) : pick(env, grants.environment), enforcement }
  }
  const execArgv = [
    flag,
    '--no-warnings',
    ...[childFile, ...read, ...grants.files].map((path) => `--allow-fs-read=${path}`),
    ...grants.writes.map((path) => `--allow-fs-write=${path}`),
    '--allow-worker',
    ...(knows('--allow-net') ? ['--allow-net'] : []),
    ...(grants.processes ? ['--allow-child-process'] : []),
    ...(grants.addons && knows('--allow-addons') ? ['--allow-addons'] : []),
  ]
  const held = grants.processes || grants.addons ? 'not enforced' : 'enforced'
  const enforcement: Enforcement = { files: held, environment: 'enforced', network, processes: held, memory }
  return { execArgv, env: pick(env, grants.environment), enforcement }
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
    Object.entries(defined(env)).filter(([name]) => patterns.some((pattern) => covers(pattern, name))),
  )
}

function defined(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
}
