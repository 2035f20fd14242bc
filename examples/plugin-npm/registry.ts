import { broken, denied, notFound, unexpectedStatus, unreachable } from 'dragonfly-ts/source'
import type { SourceRequest } from 'dragonfly-ts/source'
import { type Dist, digestOf } from './integrity.ts'
import { type Options, settingsFor } from './options.ts'
import { type PackageUrl, parsePackageUrl } from './package-url.ts'

/** All versions of a package, and the tags that name some of them. */
export interface Packument {
  readonly package: PackageUrl
  readonly versions: ReadonlyMap<string, Dist>
  readonly tags: ReadonlyMap<string, string>
}

/** Without texts that nobody needs to install something; a registry that does not know it sends the whole. */
const ABBREVIATED = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8'
const LARGEST_PACKUMENT_BYTES = 64 * 2 ** 20

/** Talks to registries, each by its settings. */
export class Registry {
  readonly #options: Options

  constructor(options: Options) {
    this.#options = options
  }

  /** What the registry knows of the package that a URL names. */
  async packument(request: SourceRequest): Promise<Packument> {
    const asked = parsePackageUrl(request.url)
    const { insecure, path } = settingsFor(this.#options, asked.url)
    const base = `${insecure ? 'http' : 'https'}://${asked.url.host}${path.replace(/\/$/, '')}`
    const url = new URL(`${base}/${asked.name.replace('/', '%2f')}`)
    const response = await this.fetch(url, request, { headers: { accept: ABBREVIATED } })
    return { package: asked, ...readPackument(await textOf(response), url) }
  }

  /** Of the registry itself, or of where it keeps its tarballs. Fails with the code that fits the status. */
  async fetch(url: URL, request: SourceRequest, init: RequestInit): Promise<Response> {
    const { signal } = request
    const headers = new Headers(init.headers)
    const authorization = this.#authorization(url, request)
    if (authorization !== undefined) headers.set('authorization', authorization)
    const response = await fetch(url, { ...init, headers, signal }).catch((error: unknown) => {
      signal.throwIfAborted()
      throw unreachable(`${url.host} does not answer: ${reasonOf(error)}`, error)
    })
    if (response.ok) return response
    await response.body?.cancel()
    if (response.status === 404) throw notFound(request.url)
    if (response.status === 401 || response.status === 403) throw denied(request.url)
    throw unexpectedStatus(response.status, undefined, { retryAfterMs: retryAfterOf(response) })
  }

  /** Secrets are for the registry that they were given for, by the user's -H or by the options. */
  #authorization(url: URL, { url: asked, headers }: SourceRequest): string | undefined {
    const { url: registry } = parsePackageUrl(asked)
    const { insecure, token } = settingsFor(this.#options, registry)
    if (url.origin !== new URL(`${insecure ? 'http' : 'https'}://${registry.host}`).origin) return undefined
    return headers['authorization'] ?? (token === undefined ? undefined : `Bearer ${token}`)
  }
}

/** The one version that a URL names, by a number, by a tag, or as the latest. */
export function distOf({ package: asked, versions, tags }: Packument, url: string): Dist {
  const wanted = asked.version ?? 'latest'
  const dist = versions.get(wanted) ?? versions.get(tags.get(wanted) ?? '')
  if (dist === undefined) throw notFound(url)
  return dist
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > LARGEST_PACKUMENT_BYTES)
      throw broken(`the registry's answer has more than ${LARGEST_PACKUMENT_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function readPackument(text: string, from: URL): Omit<Packument, 'package'> {
  const { versions, 'dist-tags': tags } = objectOf(parse(text, from))
  const dists = Object.entries(objectOf(versions)).flatMap(([version, manifest]): [string, Dist][] => {
    const { tarball, integrity, shasum } = objectOf(objectOf(manifest)['dist'])
    if (typeof tarball !== 'string' || !URL.canParse(tarball, from.href)) return []
    const url = new URL(tarball, from.href)
    return /^https?:$/.test(url.protocol) ? [[version, { tarball: url, digest: digestOf(integrity, shasum) }]] : []
  })
  const named = Object.entries(objectOf(tags)).filter((tag): tag is [string, string] => typeof tag[1] === 'string')
  return { versions: new Map(dists), tags: new Map(named) }
}

function parse(text: string, from: URL): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw broken(`${from.host} answers with no packument`, cause)
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** `fetch` itself says "fetch failed" to everything. */
function reasonOf(error: unknown): string {
  const { cause, message } = Object(error) as { cause?: { message?: unknown; code?: unknown }; message?: unknown }
  return String(cause?.message || cause?.code || message)
}

function retryAfterOf({ headers }: Response): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN)
  return Number.isFinite(seconds) ? seconds * 1000 : undefined
}
