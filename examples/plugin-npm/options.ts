const REGISTRY = {
  insecure: { type: 'boolean', description: 'Speak http, not https.' },
  token: { type: 'string', minLength: 1, description: 'Sent as a bearer token. Give it as env:NAME or file:/path.' },
  path: { type: 'string', pattern: '^/', description: 'Where the registry begins on its server, as in /api/npm/main.' },
}

/** What may stand under plugins.npm in the configuration; anything else is refused when the plugin is loaded. */
export const DragonflyPluginOptions = {
  type: 'object',
  additionalProperties: false,
  properties: {
    insecure: { ...REGISTRY.insecure, default: false },
    registries: {
      type: 'object',
      description: 'Settings of single registries, by host or host:port.',
      additionalProperties: { type: 'object', additionalProperties: false, properties: REGISTRY },
    },
  },
}

export interface RegistryOptions {
  readonly insecure?: boolean
  /** Only said to the registry itself, never to where its tarballs lie. */
  readonly token?: string
  readonly path?: string
}

export interface Options {
  readonly insecure?: boolean
  readonly registries?: Readonly<Record<string, RegistryOptions>>
}

/** The settings of a registry; those by `host:port` count more than those by `host`. */
export function settingsFor(options: Options, url: URL): Required<Omit<RegistryOptions, 'token'>> & RegistryOptions {
  const { insecure = false, registries = {} } = options
  const named = (name: string): RegistryOptions => (Object.hasOwn(registries, name) ? (registries[name] ?? {}) : {})
  return { insecure, path: '/', ...named(url.hostname), ...(url.port === '' ? {} : named(url.host)) }
}
