/** What a plugin (or a built-in source) is to its host. This file imports nothing: a plugin needs only these types. */

/** The length of a resource whose length cannot be told; also what a client answers for anything but 200 and 206. */
export const UNKNOWN_SOURCE_FILE_LEN = -2

/** Headers between host and plugin. The range is `start-end`, decimal, inclusive, without a unit. */
export const X_DRAGONFLY_RANGE = 'X-Dragonfly-Range'
export const X_DRAGONFLY_LAST_MODIFIED = 'X-Dragonfly-Last-Modified'
export const X_DRAGONFLY_ETAG = 'X-Dragonfly-ETag'

/** Names of headers are lower case in what the host hands out; a plugin may write them as it likes. */
export type Headers = Readonly<Record<string, string>>

/** What a client is asked. */
export interface SourceRequest {
  readonly url: string
  /** The user's `-H` headers, plus the raw `X-Dragonfly-Range` when a range is asked for. */
  readonly headers: Headers
  /** Bytes from `start` to `end`, both included. Only asked of clients whose `isSupportRange` said true. */
  readonly range?: { readonly start: number; readonly end: number }
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** The validators that tell one state of a resource from another. The date is in RFC 9110's form (GMT). */
export interface ExpireInfo {
  readonly lastModified?: string
  readonly etag?: string
}

/** The answer to `download`. A plain object will do; what is missing has the defaults named here. */
export interface SourceResponse {
  readonly body: AsyncIterable<Uint8Array> | Uint8Array
  /** 200. Anything but 200 and 206 is a failure, never a file. */
  readonly status?: number
  readonly headers?: Headers
  /** Bytes in `body`, −1 when unknown. The host checks it. */
  readonly contentLength?: number
  readonly expireInfo?: ExpireInfo
}

/** One entry of a listing, one level deep. */
export interface Entry {
  readonly url: string
  readonly name: string
  readonly isDirectory: boolean
  readonly contentLength?: number
}

/** Everything worth knowing about a resource before reading it, in one answer. */
export interface ResourceInfo {
  /** Bytes, or UNKNOWN_SOURCE_FILE_LEN. */
  readonly contentLength: number
  /** Undefined: not known before a range is asked for. */
  readonly supportsRange: boolean | undefined
  readonly expireInfo: ExpireInfo
  readonly headers: Headers
}

/**
 * Reads the resources of one scheme. Only `download` is indispensable: what is missing, or throws "implement me",
 * costs the host that ability and nothing else.
 */
export interface ResourceClient {
  /** Length in bytes; UNKNOWN_SOURCE_FILE_LEN when it cannot be told. Throws for what is not there. */
  getContentLength?(request: SourceRequest): Promise<number>
  /** Whether `download` honours `range`. */
  isSupportRange?(request: SourceRequest): Promise<boolean>
  /** Whether the resource is another one than `info` describes. A throw counts as no: the origin is not stormed. */
  isExpired?(request: SourceRequest, info: ExpireInfo): Promise<boolean>
  download(request: SourceRequest): Promise<SourceResponse>
  /** Milliseconds since 1970. */
  getLastModified?(request: SourceRequest): Promise<number>
  /** The entries directly below a URL. */
  list?(request: SourceRequest): AsyncIterable<Entry>
  /** All facts in one request to the origin, for clients that can; the host then asks nothing else before `download`. */
  stat?(request: SourceRequest): Promise<ResourceInfo>
}

/** What a plugin says of itself. Any further key is printed as it is. */
export interface PluginMetadata {
  readonly type: string
  readonly name: string
  /** The URL scheme served; the same as `name` for a resource plugin. */
  readonly scheme: string
  readonly buildCommit?: string
  readonly buildTime?: string
  readonly vendor?: string
  /** A semver range of contract versions that the plugin was written for. Missing: any. */
  readonly apiVersion?: string
  readonly [key: string]: unknown
}

/** What `DragonflyPluginInit` returns. */
export interface Plugin {
  readonly client: ResourceClient
  readonly metadata: PluginMetadata
}

/** The one export of a plugin file. `options` come from the host's configuration. */
export type DragonflyPluginInit = (options: Readonly<Record<string, unknown>>) => Plugin | Promise<Plugin>

/** Version of this contract, matched against a plugin's `apiVersion`. */
export const API_VERSION = '1.0.0'
