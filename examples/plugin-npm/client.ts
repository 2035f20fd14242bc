import { newResponse, notSupported, UNKNOWN_SOURCE_FILE_LEN } from 'dragonfly-ts/source'
import type {
  Entry,
  ExpireInfo,
  ResourceClient,
  ResourceInfo,
  SourceRequest,
  SourceResponse,
} from 'dragonfly-ts/source'
import type { Dist } from './integrity.ts'
import { withVersion } from './package-url.ts'
import { distOf, type Registry } from './registry.ts'

/** A host describes before it reads; the packument need not come twice for that. */
const REMEMBER_MS = 10_000
const MOST_REMEMBERED = 256
/** A HEAD that was not understood. */
const UNTOLD = new Set<unknown>(['source.broken', 'source.not_found'])

export function createClient(registry: Registry): ResourceClient {
  const recent = new Map<string, { readonly dist: Dist; readonly atMs: number }>()

  async function find(request: SourceRequest): Promise<Dist> {
    const dist = distOf(await registry.packument(request), request.url)
    recent.delete(request.url)
    recent.set(request.url, { dist, atMs: Date.now() })
    const [oldest] = recent.keys()
    if (recent.size > MOST_REMEMBERED && oldest !== undefined) recent.delete(oldest)
    return dist
  }

  async function stat(request: SourceRequest): Promise<ResourceInfo> {
    const dist = await find(request)
    const facts = { expireInfo: expireInfoOf(dist), headers: {}, ...publishedDigest(dist) }
    // No registry has to know HEAD: what it does not tell is found out by reading.
    const head = await registry.fetch(dist.tarball, request, { method: 'HEAD' }).catch((error: unknown) => {
      if (!UNTOLD.has((error as { code?: unknown }).code)) throw error
      return undefined
    })
    if (head === undefined) {
      return { contentLength: UNKNOWN_SOURCE_FILE_LEN, supportsRange: undefined, ...facts }
    }
    return { contentLength: lengthOf(head), supportsRange: head.headers.get('accept-ranges') === 'bytes', ...facts }
  }

  return {
    stat,
    getContentLength: async (request) => (await stat(request)).contentLength,
    isSupportRange: async (request) => (await stat(request)).supportsRange === true,
    /** A published version never changes; a tag moves on. */
    isExpired: async (request, info) => expireInfoOf(await find(request)).etag !== info.etag,

    async download(request) {
      const known = recent.get(request.url)
      const dist = known !== undefined && Date.now() - known.atMs < REMEMBER_MS ? known.dist : await find(request)
      return await tarball(request, dist, registry)
    },

    async *list(request) {
      const { package: asked, versions, tags } = await registry.packument(request)
      if (asked.version !== undefined) throw notSupported('a version has nothing below it; list npm://registry/package')
      const entry = (name: string, dist: Dist): Entry => ({
        url: withVersion(asked, name),
        name,
        isDirectory: false,
        ...publishedDigest(dist),
      })
      for (const [version, dist] of versions) yield entry(version, dist)
      for (const [tag, version] of tags) {
        const dist = versions.get(version)
        if (dist !== undefined) yield entry(tag, dist)
      }
    },
  }
}

async function tarball(request: SourceRequest, dist: Dist, registry: Registry): Promise<SourceResponse> {
  const { range } = request
  const headers: Record<string, string> = { 'accept-encoding': 'identity' }
  if (range !== undefined) headers['range'] = `bytes=${range.start}-${range.end}`
  const response = await registry.fetch(dist.tarball, request, { headers })
  if (range !== undefined && response.status !== 206) {
    await response.body?.cancel()
    throw notSupported('this registry gives whole tarballs only')
  }
  return newResponse(response.body ?? new Uint8Array(), {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    contentLength: lengthOf(response),
    expireInfo: expireInfoOf(dist),
    ...publishedDigest(dist),
  })
}

/** Undoing a compression changes the length. */
function lengthOf({ headers }: Response): number {
  const length = headers.get('content-length')
  return length === null || headers.has('content-encoding') ? UNKNOWN_SOURCE_FILE_LEN : Number(length)
}

/** The content itself is what tells one version from another. */
function expireInfoOf({ digest, tarball }: Dist): ExpireInfo {
  return { etag: `"${digest ?? tarball.href}"` }
}

function publishedDigest({ digest }: Dist): { readonly digest?: string } {
  return digest === undefined ? {} : { digest }
}
