import type { Digest, RangeRequest } from '#core'

/** What one `dfget` asks for. */
export interface DownloadRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly tag: string
  readonly application: string
  /** Query parameters that do not make another task. */
  readonly filteredQueryParams: readonly string[]
  /** Bytes; undefined lets the content length decide. */
  readonly pieceLength: number | undefined
  /** Digest that the output has to have. */
  readonly digest: Digest | undefined
  readonly range: RangeRequest | undefined
  /** Absolute path of the file to make; undefined for none (a seed fills itself, a reader takes the stream). */
  readonly output: string | undefined
  /** Write a range at its own offset into the output. */
  readonly originalOffset: boolean
  /** Bytes per second for this download; undefined for no limit. */
  readonly rateLimitBytes: number | undefined
  readonly disableBackSource: boolean
  /** The scheduler sent us to read the origin. */
  readonly needBackSource: boolean
  /** Somebody reads the bytes in order while they come. */
  readonly inOrder: boolean
}

/** Where the bytes of one download came from. */
export interface Tally {
  fromSource: number
  fromPeers: number
  /** Bytes that were on this host's disk before. */
  readonly local: number
  readonly byParentHost: Map<string, number>
}

export interface DownloadResult {
  readonly taskId: string
  readonly contentLength: number
  /** Bytes of the output: the content length, or that of the range. */
  readonly bytes: number
  readonly tally: Tally
  readonly exportedBy: 'reflink' | 'link' | 'copy' | 'none'
}
