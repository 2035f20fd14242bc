import ssh2 from 'ssh2'

const LOGIN = {
  user: { type: 'string', minLength: 1, description: 'Who logs in where the URL names nobody.' },
  password: { type: 'string', description: 'Give it as env:NAME or file:/path.' },
  privateKey: { type: 'string', description: 'The text of a private key; a file by file:/path.' },
  passphrase: { type: 'string', description: 'Of the private key.' },
  hostKey: {
    description: 'Fingerprints of the host keys that are trusted, as `ssh-keygen -lf` prints them.',
    oneOf: [
      { type: 'string', pattern: '^SHA256:[A-Za-z0-9+/]{43}=?$' },
      { type: 'array', minItems: 1, items: { type: 'string', pattern: '^SHA256:[A-Za-z0-9+/]{43}=?$' } },
    ],
  },
  acceptAnyHostKey: {
    type: 'boolean',
    description:
      'Talk to whoever answers. Who can redirect the connection then gets the password, and gives any bytes.',
  },
  port: { type: 'integer', minimum: 1, maximum: 65535, description: 'Where the URL has none: 22 by default.' },
}

/** What may stand under plugins.sftp in the configuration; anything else is refused when the plugin is loaded. */
export const DragonflyPluginOptions = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...LOGIN,
    hosts: {
      type: 'object',
      description: 'Settings of single servers, by name or name:port; they count more than those above.',
      additionalProperties: { type: 'object', additionalProperties: false, properties: LOGIN },
    },
    connectSeconds: { type: 'number', exclusiveMinimum: 0, default: 15, description: 'Time to connect and log in.' },
    idleSeconds: { type: 'number', minimum: 0, default: 30, description: 'An unused connection is kept this long.' },
  },
}

/** How to log in, as far as it is said. */
export interface Login {
  readonly user?: string
  readonly password?: string
  readonly privateKey?: string
  readonly passphrase?: string
  readonly hostKey?: string | readonly string[]
  readonly acceptAnyHostKey?: boolean
  readonly port?: number
}

export interface Options extends Login {
  readonly hosts?: Readonly<Record<string, Login>>
  readonly connectSeconds?: number
  readonly idleSeconds?: number
}

/** What a schema cannot say: keys that nobody can use are refused at once, not at the first download. */
export function checkOptions(options: Options): Options {
  const logins: [string, Login][] = [['', options]]
  for (const [host, login] of Object.entries(options.hosts ?? {})) logins.push([`hosts.${host}.`, login])
  for (const [place, login] of logins) {
    const reason = keyProblem(login, options)
    if (reason !== undefined) throw new Error(`${place}privateKey: ${reason}`)
  }
  return options
}

function keyProblem({ privateKey, passphrase }: Login, options: Options): string | undefined {
  if (privateKey === undefined) return undefined
  if (!privateKey.includes('PRIVATE KEY') && !privateKey.startsWith('PuTTY')) {
    return 'it is no private key; where it is the path of one, write file: in front of it'
  }
  const key = ssh2.utils.parseKey(privateKey, passphrase ?? options.passphrase)
  return key instanceof Error ? key.message : undefined
}

/** The settings for one server: its own, then the general ones. */
export function loginFor(options: Options, host: string, port: number | undefined): Login {
  const { hosts = {}, ...general } = options
  const own = { ...named(hosts, host), ...(port === undefined ? {} : named(hosts, `${host}:${port}`)) }
  // Another way to log in, or another trust, replaces the general one and is not added to it.
  const { password, privateKey, passphrase, hostKey, acceptAnyHostKey, ...rest } = general
  const hasOwnWay = own.password !== undefined || own.privateKey !== undefined
  const hasOwnTrust = own.hostKey !== undefined || own.acceptAnyHostKey !== undefined
  return {
    ...rest,
    ...(hasOwnWay ? {} : given({ password, privateKey, passphrase })),
    ...(hasOwnTrust ? {} : given({ hostKey, acceptAnyHostKey })),
    ...own,
  }
}

function named(hosts: NonNullable<Options['hosts']>, name: string): Login {
  return Object.hasOwn(hosts, name) ? (hosts[name] ?? {}) : {}
}

type Given<T> = { readonly [K in keyof T]?: NonNullable<T[K]> }

function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>
}
