import type { ExpireInfo, Headers } from '#source'

/** A SourceRequest without its signal: hanging up takes its place. */
export interface PlainRequest {
  readonly url: string
  readonly headers: Headers
  readonly range?: { readonly start: number; readonly end: number }
}

export interface OpenRequest {
  readonly file: string
  readonly options: unknown
  /** For messages: its options are `plugins.<scheme>` in the configuration. */
  readonly scheme: string
  /** For each step: loading, checking the options, init. */
  readonly deadlineMs: number
}

/** What a host asks a plugin's process. */
export type Question =
  /** Load the file, run its init. Asked once, first. */
  | ({ readonly ask: 'open' } & OpenRequest)
  /** Does anybody react? */
  | { readonly ask: 'ping' }
  | { readonly ask: 'call'; readonly method: string; readonly request: PlainRequest; readonly info?: ExpireInfo }
  /** A call of a plugin that is no source: plain arguments. `judgeParents` is the child's own: see judge-parents. */
  | { readonly ask: 'apply'; readonly method: string; readonly args: readonly unknown[] }
  | { readonly ask: 'download'; readonly request: PlainRequest }
  | { readonly ask: 'list'; readonly request: PlainRequest }

/** What a loaded plugin says of itself. Nothing of it is believed before it was checked. */
export interface OpenAnswer {
  readonly metadata: unknown
  /** Functions that its client has, of those a host may call. */
  readonly methods: unknown
  readonly hasSchema: unknown
}

/** What the code of a plugin threw, as far as it can be told. */
export interface ErrorMessage {
  readonly code?: unknown
  readonly message?: unknown
  readonly retryAfterMs?: unknown
  readonly lasting?: unknown
}
