/** index.ts of a new project; SCHEME stands for the scheme. */
export const PLUGIN_SOURCE = String.raw`
// Reads SCHEME://host:port/path over HTTP from that host. Put your own store in the place of ask and stat.
import {
  newResponse,
  notSupported,
  UNKNOWN_SOURCE_FILE_LEN,
  unexpectedStatus,
  unreachable,
  X_DRAGONFLY_RANGE,
} from 'dragonfly-ts/source'
import type {
  DragonflyPluginInit as Init,
  ExpireInfo,
  ResourceClient,
  ResourceInfo,
  SourceRequest,
} from 'dragonfly-ts/source'

/** What may stand under plugins.SCHEME in the configuration; anything else is refused when the plugin is loaded. */
export const DragonflyPluginOptions = {
  type: 'object',
  additionalProperties: false,
  properties: {
    tls: { type: 'boolean', default: false, description: 'Speak https with the origin.' },
    token: { type: 'string', description: 'Sent as a bearer token. Give it as env:NAME or file:/path.' },
  },
}

interface Options {
  readonly tls?: boolean
  readonly token?: string
}

export const DragonflyPluginInit: Init = (options) => ({
  client: createClient(options as Options),
  metadata: {
    type: 'resource',
    name: 'SCHEME',
    scheme: 'SCHEME',
    // The build fills in buildCommit, buildTime, vendor and apiVersion.
    // What it needs besides the network; whoever runs it grants that with --plugin-grant or pluginPolicy.grants:
    // permissions: { files: ['/etc/store/key.pem'], environment: ['STORE_REGION'] },
  },
})

function createClient({ tls = false, token }: Options): ResourceClient {
  /** One request to the origin, given up as soon as nobody waits for it any more. */
  async function ask(method: 'GET' | 'HEAD', { url, headers, range, signal }: SourceRequest): Promise<Response> {
    const fields = new Headers(headers) // those of dfget -H
    fields.delete(X_DRAGONFLY_RANGE)
    fields.set('accept-encoding', 'identity') // the bytes as they are, so that lengths are true
    if (token !== undefined) fields.set('authorization', 'Bearer ' + token)
    if (range !== undefined) fields.set('range', 'bytes=' + range.start + '-' + range.end)
    const address = url.replace(/^[^:]+/, tls ? 'https' : 'http')
    const response = await fetch(address, { method, headers: fields, signal }).catch((cause: unknown) => {
      throw unreachable('the origin does not answer', cause)
    })
    if (response.ok) return response
    await response.body?.cancel()
    throw unexpectedStatus(response.status) // 404: source.not_found, 403: source.denied, 503: tried again
  }

  async function stat(request: SourceRequest): Promise<ResourceInfo> {
    const { headers, status } = await ask('HEAD', request)
    const supportsRange = status === 206 || headers.get('accept-ranges') === 'bytes'
    return { contentLength: lengthIn(headers), supportsRange, expireInfo: expireInfoIn(headers), headers: {} }
  }

  return {
    /** All that is worth knowing, in one request; with it the host asks none of the next four. */
    stat,

    /** Bytes; UNKNOWN_SOURCE_FILE_LEN when the origin does not tell. */
    async getContentLength(request) {
      return (await stat(request)).contentLength
    },

    /** Whether download gives the bytes of request.range; only then a download that breaks can go on. */
    async isSupportRange(request) {
      return (await stat(request)).supportsRange === true
    },

    /** Whether the resource is another one than info, which download or stat gave once. */
    async isExpired(request, info) {
      const { etag, lastModified } = (await stat(request)).expireInfo
      return info.etag === undefined ? info.lastModified !== lastModified : info.etag !== etag
    },

    /** Milliseconds since 1970; 0 when the origin does not tell. */
    async getLastModified(request) {
      const { lastModified } = (await stat(request)).expireInfo
      return lastModified === undefined ? 0 : Date.parse(lastModified)
    },

    /** The bytes: all of them, or those of request.range. Never gather them: hand the stream on. */
    async download(request) {
      const { body, headers, status } = await ask('GET', request)
      return newResponse(body ?? new Uint8Array(), {
        status,
        contentLength: lengthIn(headers),
        expireInfo: expireInfoIn(headers),
      })
    },

    /** The entries right below a URL. Here: what nginx says with autoindex_format json. */
    async *list(request) {
      const response = await ask('GET', request)
      const names: unknown = await response.json().catch(() => undefined)
      if (!Array.isArray(names)) throw notSupported('the origin lists nothing at this URL')
      for (const { name, type, size } of names as { name: string; type: string; size?: number }[]) {
        const isDirectory = type === 'directory'
        const url = new URL(encodeURIComponent(name) + (isDirectory ? '/' : ''), request.url).href
        yield { url, name, isDirectory, ...(size === undefined ? {} : { contentLength: size }) }
      }
    },
  }
}

function lengthIn(headers: Headers): number {
  const length = headers.get('content-length')
  return length === null ? UNKNOWN_SOURCE_FILE_LEN : Number(length)
}

/** What tells one state of a resource from another. */
function expireInfoIn(headers: Headers): ExpireInfo {
  const [etag, lastModified] = [headers.get('etag'), headers.get('last-modified')]
  return { ...(etag === null ? {} : { etag }), ...(lastModified === null ? {} : { lastModified }) }
}
`
