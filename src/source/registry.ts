import { Failure } from '#core'
import { sourceFromClient } from './client-source.ts'
import type { ResourceClient } from './contract.ts'
import { fileClient, isLocalFile } from './drivers/file.ts'
import { httpClient } from './drivers/http.ts'
import { redactUrl } from './redact-url.ts'
import type { SourceSettings } from './settings.ts'
import type { Source, Sources } from './source.ts'
import { withDeadline } from './with-deadline.ts'
import { withIdleTimeout } from './with-idle-timeout.ts'
import { withRetry } from './with-retry.ts'

/** A client that came from a plugin file. */
export interface LoadedClient {
  readonly client: ResourceClient
  /** As messages name it: `plugin d7yfs (/path/d7y-resource-plugin-d7yfs.mjs)`. */
  readonly name: string
  /** It runs in another process, and `client` stands in for it. */
  readonly apart?: boolean
}

export interface SourcesOptions {
  readonly builtIn: readonly Source[]
  /**
   * Finds and loads the plugin of a scheme; undefined when there is none. Fails with `plugin.broken`. Asked at each
   * use, so that a plugin which changed on disk is noticed: what it keeps, it keeps itself.
   */
  loadPlugin?(scheme: string): Promise<LoadedClient | undefined>
  /** Where plugins are looked for, for the message when there is none. */
  searched?(): readonly string[]
  readonly settings: SourceSettings
  readonly warn: (message: string) => void
}

/** Finds the source of a URL by its scheme: built-ins first, then plugins. */
export function createSources(options: SourcesOptions): Sources {
  const builtIn = new Map(options.builtIn.map((source) => [source.scheme, source]))
  /** One source per client, for as long as the loader keeps that client: warnings come once, not once a read. */
  const fromPlugin = new WeakMap<ResourceClient, Source>()

  const wrapped = (scheme: string, { client, name, apart = false }: LoadedClient): Source => {
    const known = fromPlugin.get(client)
    if (known?.scheme === scheme) return known
    const bare = sourceFromClient(client, { scheme, inTree: false, apart, name, warn: options.warn })
    const source = withPolicy(bare, options.settings)
    fromPlugin.set(client, source)
    return source
  }
  return {
    async for(url) {
      const scheme = schemeOf(url)
      const source = builtIn.get(scheme)
      if (source !== undefined) return source
      const loaded = await options.loadPlugin?.(scheme)
      if (loaded !== undefined) return wrapped(scheme, loaded)
      throw unknownScheme(scheme, [...builtIn.keys()], options.searched?.() ?? [])
    },
  }
}

/** http, https and file, with retries and time limits around them. */
export function builtInSources(settings: SourceSettings, warn: (message: string) => void): Source[] {
  const http = httpClient(settings)
  const file = fileClient({ roots: settings.file.roots })
  const local = (url: string): boolean => isLocalFile(url, settings.file.roots)
  return [
    sourceFromClient(http, { scheme: 'http', inTree: true, readsDescribe: true, warn }),
    sourceFromClient(http, { scheme: 'https', inTree: true, readsDescribe: true, warn }),
    sourceFromClient(file, { scheme: 'file', inTree: true, warn, local }),
  ].map((source) => withPolicy(source, settings))
}

/** The policies every source of a host has, innermost first. */
export function withPolicy(source: Source, { retry, idleTimeout, describeTimeout }: SourceSettings): Source {
  const { attempts, probeAttempts, firstDelay, maxDelay } = retry
  const policy = { attempts, probeAttempts, firstDelayMs: firstDelay, maxDelayMs: maxDelay }
  return withDeadline(withRetry(withIdleTimeout(source, idleTimeout), policy), describeTimeout)
}

function schemeOf(url: string): string {
  const match = /^([a-z][a-z0-9+.-]{0,63}):/i.exec(url.trimStart())
  if (match?.[1] === undefined || !URL.canParse(url)) {
    throw new Failure('usage.invalid', `"${redactUrl(url)}" is not a URL: write it as scheme://host/path`)
  }
  return match[1].toLowerCase()
}

function unknownScheme(scheme: string, known: readonly string[], searched: readonly string[]): Failure {
  const where = searched.length > 0 ? `; no plugin for it in ${searched.join(', ')}` : ''
  return new Failure('source.unknown_scheme', `no source reads ${scheme}: URLs (known: ${known.join(', ')})${where}`)
}
