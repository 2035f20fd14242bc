/** What a plugin (or a built-in source) is to its host. This file imports nothing: a plugin needs only these types. */

/** The length of a resource whose length cannot be told; also what a client answers for anything but 200 and 206. */
export const UNKNOWN_SOURCE_FILE_LEN = -2

/** Header of a request: the range as `start-end`, decimal, both included, without a unit. The same as `request.range`. */
export const X_DRAGONFLY_RANGE = 'X-Dragonfly-Range'
/** Header of a response, read where its `expireInfo` has no `lastModified`. */
export const X_DRAGONFLY_LAST_MODIFIED = 'X-Dragonfly-Last-Modified'
/** Header of a response, read where its `expireInfo` has no `etag`. */
export const X_DRAGONFLY_ETAG = 'X-Dragonfly-ETag'

/** Names of headers are lower case in what the host hands out; a plugin may write them as it likes. */
export type Headers = Readonly<Record<string, string>>

/** What a client is asked. */
export interface SourceRequest {
  /** As the user wrote it. */
  readonly url: string
  /** The user's `-H` headers, plus the raw `X-Dragonfly-Range` when a range is asked for. */
  readonly headers: Headers
  /** Bytes from `start` to `end`, both included. Only asked of clients whose `isSupportRange` said true. */
  readonly range?: { readonly start: number; readonly end: number }
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** The validators that tell one state of a resource from another. */
export interface ExpireInfo {
  /** `Mon, 02 Jan 2006 15:04:05 GMT`; `formatHttpDate` makes it. */
  readonly lastModified?: string
  /** Any text that is another one when the resource is: an ETag, a revision, a hash. */
  readonly etag?: string
}

/** The answer to `download`. A plain object will do; what is missing has the defaults named here. */
export interface SourceResponse {
  /** The bytes, or any async iterable of them: a Node stream, a web stream, a generator. Read as fast as they are taken. */
  readonly body: AsyncIterable<Uint8Array> | Uint8Array
  /** 200 (the default) for the whole, 206 for a range. Anything else is a failure, never a file. */
  readonly status?: number
  /** What the origin said. `content-range`, `accept-ranges` and the two X-Dragonfly headers are looked at. */
  readonly headers?: Headers
  /** Bytes in `body`; −1 (the default) when unknown. The host checks it. */
  readonly contentLength?: number
  /** The validators of what is in `body`. None by default. */
  readonly expireInfo?: ExpireInfo
  /**
   * What the whole resource must match, as ResourceInfo has it. Say it in `stat`, too: what is said here alone is checked
   * by the host that reads the origin, and by none that gets the bytes from it.
   */
  readonly digest?: string
}

/** One entry of a listing, one level deep. */
export interface Entry {
  /** Whole, with the scheme: what to ask for. */
  readonly url: string
  /** The last part of its path, without slashes. */
  readonly name: string
  /** Whether it can be listed in its turn. */
  readonly isDirectory: boolean
  /** Bytes, where the listing tells them. */
  readonly contentLength?: number
  /** As ResourceInfo has it. */
  readonly digest?: string
}

/** Everything worth knowing about a resource before reading it, in one answer. */
export interface ResourceInfo {
  /** Bytes, or UNKNOWN_SOURCE_FILE_LEN. */
  readonly contentLength: number
  /** Undefined: not known before a range is asked for. */
  readonly supportsRange: boolean | undefined
  /** The validators of its present state. */
  readonly expireInfo: ExpireInfo
  /** What the origin said besides. */
  readonly headers: Headers
  /**
   * What the whole resource must match, as `algorithm:hex` (md5, sha1, sha256, sha512), where the origin publishes it:
   * a lock file's integrity, a registry's digest. Every host checks it over the whole file, and takes it for the version
   * of the resource.
   */
  readonly digest?: string
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
  /** The bytes: all of them, or those of `request.range`. Throws for what is not there. */
  download(request: SourceRequest): Promise<SourceResponse>
  /** Milliseconds since 1970. */
  getLastModified?(request: SourceRequest): Promise<number>
  /** The entries directly below a URL. */
  list?(request: SourceRequest): AsyncIterable<Entry>
  /** All facts in one request to the origin, for clients that can; the host then asks nothing else before `download`. */
  stat?(request: SourceRequest): Promise<ResourceInfo>
}

/**
 * What a plugin needs of the machine it runs on. It declares this in its metadata; the operator grants it; what is
 * declared and not granted is refused when the plugin is loaded.
 */
export interface PluginPermissions {
  /** Hosts it talks to: `host`, `host:port`, `*.domain`. Told to the operator; no Node can enforce it per host. */
  readonly network?: readonly string[]
  /** Absolute paths of files and directories it reads. Its own file, or folder, needs no permission. */
  readonly files?: readonly string[]
  /** Absolute paths it writes to. */
  readonly writes?: readonly string[]
  /** Names of environment variables it reads; `AWS_*` for all that begin so. */
  readonly environment?: readonly string[]
  /** It runs other programs, or worker threads: no limit on files holds those. */
  readonly processes?: boolean
  /** It loads native addons. */
  readonly addons?: boolean
}

/** What a plugin says of itself. Any further key is printed as it is. */
export interface PluginMetadata {
  /** `resource`, as in the name of its file. */
  readonly type: string
  /** The scheme, as in the name of its file. */
  readonly name: string
  /** The URL scheme served; the same as `name` for a resource plugin. */
  readonly scheme: string
  /** The commit it was built from. `dfget plugin build` fills in this and the next two. */
  readonly buildCommit?: string
  /** When it was built: UTC, RFC 3339. */
  readonly buildTime?: string
  /** Who made it. */
  readonly vendor?: string
  /** A semver range of contract versions that the plugin was written for. Missing: any. */
  readonly apiVersion?: string
  /** What it needs beyond the network. */
  readonly permissions?: PluginPermissions
  readonly [key: string]: unknown
}

/** What `DragonflyPluginInit` returns. */
export interface Plugin {
  /** Reads the scheme. Methods beyond the contract's are ignored. */
  readonly client: ResourceClient
  /** Says what the plugin is. */
  readonly metadata: PluginMetadata
}

/** The export that makes a file a plugin. `options` come from the host's configuration, secrets filled in. */
export type DragonflyPluginInit = (options: Readonly<Record<string, unknown>>) => Plugin | Promise<Plugin>

/**
 * The other, optional export, by the name of `DragonflyPluginOptions`: what options the plugin takes. A schema of any
 * library that speaks Standard Schema (zod, valibot, arktype), or a plain JSON Schema. Wrong options are refused when
 * the plugin is loaded, with the key and the reason; what the schema makes of them (defaults) is given to the init.
 */
export type DragonflyPluginOptions = StandardSchema | JsonSchema

/** The part of Standard Schema v1 that is used. */
export interface StandardSchema {
  /** Where such libraries keep it. */
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    validate(value: unknown): StandardResult | Promise<StandardResult>
  }
}

/** What a schema says of a value. */
export interface StandardResult {
  /** Present where there are no issues. */
  readonly value?: unknown
  /** What is wrong, and under which key. */
  readonly issues?: readonly {
    readonly message: string
    readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
  }[]
}

/** JSON Schema, draft 7 or 2020-12, for an object. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** Version of this contract, matched against a plugin's `apiVersion`. */
export const API_VERSION = '1.1.0'
