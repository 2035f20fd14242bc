import type { ByteRange, ByteSink, Digest } from '#core'
import type { ExpireInfo, Headers } from './contract.ts'

/** Where to read and what to say there. */
export interface ReadRequest {
  readonly url: string
  readonly headers: Headers
}

/** A resource as its origin describes it. */
export interface Resource {
  /** Bytes; undefined when the origin does not tell. */
  readonly contentLength: number | undefined
  /** False: only the whole can be read, from its start. Undefined: not known before it was tried. */
  readonly supportsRange: boolean | undefined
  readonly expireInfo: ExpireInfo
  /** Response headers worth handing on to who asked, lower-case names. */
  readonly headers: Headers
  /** What the whole resource must match, where the origin publishes it. Who asks checks it: a source does not. */
  readonly digest?: Digest
}

export interface ReadOptions {
  /** Exactly these bytes. Fails with `source.not_supported` when the origin cannot, before any byte was given. */
  readonly range?: ByteRange
  /**
   * Of a read without a range: no more than so many bytes from its start, where the origin gives them by themselves and
   * the rest can be joined to them for sure; Answer tells with `part`. Where it does not, or where the source knows
   * nothing of it, all comes.
   */
  readonly atFirst?: number
  /**
   * Bytes that the whole must have, as it was described. Counts where a read without a range is answered by a body of
   * no announced length; its last byte is then given only when nothing follows.
   */
  readonly wholeBytes?: number
  /**
   * Fail with `source.changed` when the origin's validators are others than these. Empty validators match anything.
   */
  readonly ifMatch?: ExpireInfo
  readonly signal: AbortSignal
  /** Fail at the first try that brings no answer: who asks can do without. */
  readonly impatient?: boolean
  /** Told what is about to come, once, before the first byte. What it throws ends the read. */
  onAnswer?(answer: Answer): void
}

/** What an origin says of the body that follows. */
export interface Answer {
  readonly expireInfo: ExpireInfo
  /** Bytes of the whole resource, where the origin tells. */
  readonly totalLength: number | undefined
  /** True: what breaks can be resumed by a range. Undefined: not known. */
  readonly supportsRange: boolean | undefined
  /** Only these bytes come, and not the whole: see `atFirst`. */
  readonly part?: ByteRange
  /** As Resource has them. */
  readonly headers?: Headers
  /** As Resource has it: of the whole, also where the body is a range. */
  readonly digest?: Digest
}

/**
 * The host's side of a ResourceClient: checked, retried, one shape for built-ins and plugins. All failures are
 * `source.*` Failures whose message names the URL (credentials and query values left out) and the cause.
 */
export interface Source {
  readonly scheme: string
  /** The answer to a read of the whole says all that `describe` would. */
  readonly readsDescribe?: boolean
  /**
   * True when only this host may read the URL, for its own users: it is no task of the swarm, and nobody else can make
   * this host read it (`file` outside of the shared roots). Ask before every read on behalf of another host.
   */
  local(url: string): boolean
  /** Describes the resource without reading its body. */
  describe(request: ReadRequest, signal: AbortSignal): Promise<Resource>
  /** Whether the resource is another one than `info` describes. Never throws: a failure is a warning and a "no". */
  isExpired(request: ReadRequest, info: ExpireInfo, signal: AbortSignal): Promise<boolean>
  /**
   * Gives the bytes to `sink`, in order, at the sink's pace, until all were given or the sink is full. A connection
   * that breaks is resumed where it broke (with `ifMatch` or the validators of the first answer), with growing pauses.
   * Ends well only when every byte announced was given: a body too short or too long is `source.broken`, also one of
   * no announced length that goes on when the sink of a whole read is full.
   */
  read(request: ReadRequest, sink: ByteSink, options: ReadOptions): Promise<ReadResult>
}

export interface ReadResult {
  readonly bytes: number
  /** The validators of the version that was read. */
  readonly expireInfo: ExpireInfo
}

/** Finds the source of a URL: built-ins first, then plugins. */
export interface Sources {
  /** Fails with `source.unknown_scheme` or `plugin.broken`. */
  for(url: string): Promise<Source>
}
