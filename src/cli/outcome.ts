/** What a download did. */
export interface Outcome {
  readonly taskId: string
  /** Bytes handed over: the whole file, or the range asked for. */
  readonly bytes: number
  /** Bytes of the whole file. */
  readonly contentLength: number
  readonly bytesFromSource: number
  readonly bytesFromPeers: number
  /** Bytes that were on this host before. */
  readonly bytesLocal: number
  readonly bytesByParentHost: Readonly<Record<string, number>>
  /** Who did it: the daemon, or this process alone. */
  readonly by: 'daemon' | 'dfget'
}

/** Where the bytes of a piece came from. */
export type Traffic = 'source' | 'peers' | 'local'

/** Who looks on while the bytes come. */
export interface Onlooker {
  /** `totalBytes` are the bytes to be handed over; undefined where the origin does not tell. */
  started(totalBytes: number | undefined): void
  arrived(bytes: number, from: Traffic): void
}
