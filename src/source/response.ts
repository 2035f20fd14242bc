import type { ExpireInfo, Headers, SourceResponse } from './contract.ts'

/** What `newResponse` takes besides the body. */
export interface ResponseOptions {
  /** 206 for the bytes of a range, 200 (the default) for the whole. */
  readonly status?: number
  /** What the origin said. */
  readonly headers?: Headers
  /** Bytes in the body; −1 (the default) when it is not known. Say it where you can: the host checks it. */
  readonly contentLength?: number
  /** The validators of what is in the body. */
  readonly expireInfo?: ExpireInfo
  /** `algorithm:hex` of the whole resource, where the origin publishes it. */
  readonly digest?: string
}

/** An answer to `download`, everything filled in. A plain object does as well. */
export function newResponse(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  options: ResponseOptions = {},
): Required<Omit<SourceResponse, 'digest'>> & Pick<SourceResponse, 'digest'> {
  const { status = 200, headers = {}, contentLength = -1, expireInfo = {}, digest } = options
  return { body, status, headers, contentLength, expireInfo, ...(digest === undefined ? {} : { digest }) }
}
