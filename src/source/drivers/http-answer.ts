import type { Headers } from '../contract.ts'

/** The head of an answer, its body not read yet. */
export interface HttpAnswer {
  /** Where it came from, after all redirects. */
  readonly url: URL
  readonly status: number
  /** Lower-case names; a field that came several times is joined. */
  readonly headers: Headers
  readonly body: HttpBody
}

/** Read it to its end, or `destroy` it. Fails with SourceErrors. */
export interface HttpBody extends AsyncIterable<Uint8Array> {
  destroy(): void
}
